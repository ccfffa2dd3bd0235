# frozen_string_literal: true

require_relative "../support/program"
require_relative "framework"

module Frameworks
  # An example at work inside its framework.
  class Run < Program
    # What the work printed: at its start (only what `changed` makes of an example prints that) and at its end.
    Line = Struct.new(:started, :partition, :offset, :key, :id)
    LINE = /^(start )?(\d+) (\d+) (\S+) (\d+)\n/

    # The script NAME_child.rb, beside NAME's framework, which is installed first.
    def self.child(name, *arguments, **options)
      script = File.join(__dir__, "#{name}_child.rb")
      new(Framework.new(name).install, "ruby", script, *arguments, **options)
    end

    def initialize(framework, *command, env: {}, limit: 60)
      # What somebody has set in the shell must not change what is tested.
      inherited = ENV.keys.grep(/\A(RACECAR_|KARAFKA_)/).to_h { |name| [name, nil] }
      super(*Clone.bundle("exec", *command), env: inherited.merge(framework.environment, env), limit: limit,
                                             chdir: framework.directory) # where karafka makes log/
    end

    def output
      stdout + stderr
    end

    def lines
      stdout.scan(LINE).map do |started, partition, offset, key, id|
        Line.new(started, partition.to_i, offset.to_i, key, id.to_i)
      end
    end

    # What was worked on to the end, in that order.
    def finished
      lines.reject(&:started)
    end
  end
end
