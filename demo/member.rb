# frozen_string_literal: true

# A consumer in a process of its own, to be killed: ruby demo/member.rb CONFIG TOPIC, the config of librdkafka as JSON.
# Prints each message as it begins to work on it. It ends with its standard input, so that it never outlives the demo.

require "bundler/setup"
require "json"
require "logger"
require "work_shaper/consumer"

Thread.new do
  $stdin.read
  exit!(1)
end

WorkShaper.logger = Logger.new($stderr, level: Logger::ERROR)
Rdkafka::Config.logger = Logger.new($stderr, level: Logger::FATAL)
$stdout.sync = true

config, topic = ARGV
WorkShaper::Consumer.new(config: JSON.parse(config), topics: topic, concurrency: 100) do |message|
  puts message.payload
  sleep 0.010
end.run
