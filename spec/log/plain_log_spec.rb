# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper, "without the logger gem" do
  # As on Ruby 4.0 in a bundle that does not name it.
  without_logger = <<~RUBY
    module Kernel
      alias_method :require_anything, :require
      def require(name) = name == "logger" ? raise(LoadError, "cannot load such file -- logger") : require_anything(name)
      private :require
    end
    $LOAD_PATH.unshift(ARGV.fetch(0))
    require "work_shaper"
    abort "Logger is there" if defined?(Logger)
  RUBY

  it "writes the same lines, from the level in LOG_LEVEL on" do
    script = without_logger + <<~RUBY
      acked = []
      shaper = WorkShaper::Manager.new(work: ->(*) { raise "failed" }, ack: ->(_, offset) { acked << offset })
      3.times { |offset| shaper.enqueue(:key, :message, 0, offset) }
      abort "not all was acknowledged" unless shaper.shutdown && acked == [0, 1, 2]
    RUBY
    lines = %w[error debug].map do |level|
      result = run_ruby("exec(RbConfig.ruby, '-e', #{script.dump}, #{Subprocess::LIBRARY.dump})",
                        env: { "LOG_LEVEL" => level })
      expect([result.status.success?, result.stderr]).to eq([true, ""])
      result.stdout.lines.map { |line| JSON.parse(line) }
    end
    expect(lines[0].map { |line| line.fetch("msg").fetch("message") }).to eq(["Error processing"] * 3)
    expect(lines[1].map { |line| line.fetch("msg").fetch("message") }).to include("Shutting Down", "Reporting")
    expect(lines[0].first.keys).to eq(%w[timestamp level pid msg])
  end
end
