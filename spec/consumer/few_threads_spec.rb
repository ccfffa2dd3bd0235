# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

# librdkafka 2.8 aborts the process or never returns when it cannot start one of its threads.
RSpec.describe WorkShaper::Consumer, "where few threads can be started", if: File.exist?("/proc/self/statm") do
  # `enough` is how many more threads there is address space for, each with the usual stack.
  def script(enough, after)
    <<~RUBY
      Rdkafka::Config.logger = Logger.new(File::NULL)
      servers = mock_topic(5) && mock.bootstrap_servers
      c = mock_consumer(signals: false, concurrency: 1) { |m| worked << m.offset }
      WorkShaper.logger.info("there is a line") # what is loaded for that is loaded before
      stack = Process.getrlimit(:STACK).first.clamp(0, 8 << 20)
      used = File.read("/proc/self/statm").to_i * 4096
      begin_at = used + (#{enough} * (stack + 4096)) + (12 << 20)
      Process.setrlimit(:AS, begin_at, begin_at)
      #{after}
      passed
      exit!(0) # no client may keep it
    RUBY
  end

  [0, 1, 2, 3, 4].each do |enough|
    it "says so, with room for #{enough}" do
      expect_consumer_to_pass(script(enough, <<~RUBY), limit: 30)
        error = raised(ThreadError) { c.run }
        check(error.message.match?(/\\A(7 more threads are needed|can't create Thread)/), error.message)
      RUBY
    end
  end

  it "says so when librdkafka noticed it" do
    client.answered = false
    client.reports << ConsumerHelpers.client_class::Report.new(:crit_sys_resource, "Unable to create broker thread")
    consumer = running
    expect(failure_of(consumer)).to be_a(ThreadError).and have_attributes(message: /Unable to create broker thread/)
  end

  it "runs, with room for some" do
    expect_consumer_to_pass(script(60, <<~RUBY), limit: 30)
      Thread.new { wait_until("worked") { worked.size == 5 }; c.stop }
      same(true, c.run, "run")
    RUBY
  end
end
