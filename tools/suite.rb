# frozen_string_literal: true

require "fileutils"
require "rbconfig"
require_relative "clone"

# Everything that tests WorkShaper: the C tests of the core, the linters and all specs. What fails does not keep the
# rest from running.
#
# Five tasks run side by side, since the specs mostly wait, those on Kafka above all. One of them measures what a kill
# or a deploy repeats, so the others give way to it; what only computes gives way to all. The output of all but the
# first comes in one piece at the end.
class Suite
  LANES = 5
  TOPICS, BROKERS = [%w[chaos recreated_topic troubles], %w[brokers failures_brokers outage]].map do |names|
    names.map { |name| "spec/kafka/#{name}_spec.rb" }
  end
  # A lane takes the next one when it has done one, so those that take minutes come first, and those that use what
  # processors there are last.
  TASKS = [
    %w[rspec spec --exclude-pattern
       spec/{kafka,consumer,testing,frameworks,examples,browser,command_line}/**/*_spec.rb],
    ["rspec", "spec/kafka", "--exclude-pattern", [*TOPICS, *BROKERS].join(",")],
    %w[rspec spec/frameworks spec/examples spec/browser spec/command_line],
    %w[rspec spec/consumer spec/testing],
    ["rspec", *BROKERS], ["rspec", *TOPICS], %w[rake core], %w[rake lint]
  ].freeze
  MEASURING = TASKS[1]

  # `environment`: what to add for the commands; `bundle`: what to put before them, so that they find their gems.
  def initialize(environment, bundle)
    @environment = environment.merge(Clone::FOR_SPECS)
    @bundle = bundle
  end

  # Returns whether all passed.
  def run
    FileUtils.mkdir_p(Clone.path("tmp"))
    logs = TASKS.each_index.drop(1).map { |number| Clone.path("tmp", "test_#{number}.log") }
    queue = TASKS.zip([nil, *logs]).each_with_object(Queue.new) { |task, all| all << task }.close
    passed = Array.new(LANES) { Thread.new { take_from(queue) } }.map(&:value)
    logs.each { |log| puts File.read(log) }
    passed.all?
  end

  # Runs one command, and says how it ended when it did not succeed. Returns whether it did.
  def run_one(command, log: nil, niceness: 0)
    output = log ? { %i[out err] => log } : {}
    passed = system(@environment, "nice", "-n", niceness.to_s, *@bundle, *command, chdir: Clone::ROOT, **output)
    warn("#{command.first(2).join(" ")} failed: #{Process.last_status.to_s.sub(/\Apid \d+ /, "")}") unless passed
    passed == true
  end

  private

  def take_from(queue)
    passed = true
    while (command, log = queue.pop)
      passed = run_one(command, log: log, niceness: niceness_of(command)) && passed
    end
    passed
  end

  def niceness_of(command)
    return 0 if command == MEASURING

    command.first == "rake" ? 10 : 2
  end
end
