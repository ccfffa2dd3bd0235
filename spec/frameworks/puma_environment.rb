# frozen_string_literal: true

# The application of puma_spec.rb, which puts the config and the topic in. It says what its consumers do.

require "work_shaper/consumer"

def say(line)
  $stdout.syswrite(line) # rubocop:disable RSpec/Output -- the spec reads it
end

WorkShaper.logger = Logger.new($stderr)
WorkShaper.instrumenter = Class.new do
  def instrument(name, payload)
    say("started #{Process.pid} #{payload[:group]}\n") if name == "started.work_shaper"
    say("stopped #{Process.pid} #{payload[:done]}\n") if name == "stopped.work_shaper"
  end
end.new

# As the generator makes it.
class OrdersConsumer
  def self.consumer(**settings)
    WorkShaper::Consumer.new(config: CONFIG, topics: TOPIC, **settings) { |message| new.call(message) }
  end

  def call(message)
    say("worked #{Process.pid} #{message.payload}\n")
  end
end
