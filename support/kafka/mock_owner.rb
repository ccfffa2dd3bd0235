# frozen_string_literal: true

# Owns a mock cluster in a process of its own, so that every process that uses it can be killed: prints its bootstrap
# servers, creates the topic that each line of standard input names ("topic partitions"), and ends with that input.

require "logger"
require_relative "mock_cluster"

Rdkafka::Config.logger = Logger.new($stderr, level: Logger::ERROR)
cluster = KafkaSupport::MockCluster.new
$stdout.sync = true
$stdout.puts cluster.bootstrap_servers

while (line = $stdin.gets)
  topic, partitions = line.split
  cluster.create_topic(topic, partitions: Integer(partitions, 10))
  $stdout.puts "created #{topic}"
end

exit!(0) # clients that are still connected must not keep it
