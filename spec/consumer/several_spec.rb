# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "beside others in one process" do
  # `started` runs one more consumer on a thread of its own: [consumer, its client, thread]; `handlers` are those that
  # are there now.
  let(:several) do
    <<~RUBY
      started = lambda do
        @client = nil
        consumer = fake_consumer { |_message| nil }
        thread = Thread.new { consumer.run }
        wait_until("runs") { client.takes.positive? }
        [consumer, client, thread]
      end
      handlers = -> { %w[INT TERM QUIT TSTP TTIN].to_h { |s| old = trap(s, "DEFAULT"); trap(s, old); [s, old] } }
      trap(:QUIT) { worked << :mine }
      trap(:TTIN, "IGNORE")
      before = handlers.call
    RUBY
  end

  def expect_several_to_pass(script)
    expect_consumer_to_pass("#{several}#{script}\nno_threads_left\npassed\n")
  end

  %w[INT TERM QUIT].each do |signal|
    it "stops with them on #{signal}" do
      expect_several_to_pass(<<~RUBY)
        all = Array.new(3) { started.call }
        Process.kill(:#{signal}, Process.pid)
        all.each do |_consumer, client, thread|
          same(true, ended(thread).value, "run")
          check(client.closed?, "left the group")
        end
        same(before, handlers.call, "handlers after all")
      RUBY
    end
  end

  describe "when a signal to stop comes between two starts" do
    it "is stopped, too, as it was made before" do
      expect_several_to_pass(<<~RUBY)
        _consumer, _client, thread = started.call
        @client = nil
        made = fake_consumer { |_message| nil }
        Process.kill(:TERM, Process.pid)
        same(true, ended(thread).value, "run of the first")
        same(before, handlers.call, "handlers between them")
        same(true, ended(Thread.new { made.run }).value, "run of the second")
        check(client.closed?, "closed")
        same([], client.calls & %i[subscribe], "joined")
      RUBY
    end

    it "is stopped, too, as others still end" do
      expect_several_to_pass(<<~RUBY)
        gate = Queue.new
        @client = nil
        client.produce("orders", 0, "slow")
        first = fake_consumer { |_message| gate.pop }
        thread = Thread.new { first.run }
        client.assign(["orders", 0])
        wait_until("at work") { gate.num_waiting == 1 }
        Process.kill(:TERM, Process.pid)
        wait_until("winds down") { first.stats[:shutting_down] }
        @client = nil
        second = fake_consumer { |_message| nil }
        same(true, ended(Thread.new { second.run }).value, "run of the second")
        check(thread.alive?, "the first still ends")
        gate << :go
        same(true, ended(thread).value, "run of the first")
      RUBY
    end

    it "runs if it was made afterwards, when all others have ended" do
      expect_several_to_pass(<<~RUBY)
        _consumer, _client, thread = started.call
        Process.kill(:INT, Process.pid)
        ended(thread)
        consumer, _client, thread = started.call
        check(consumer.healthy?, "healthy")
        Process.kill(:INT, Process.pid)
        same(true, ended(thread).value, "run of the second")
      RUBY
    end

    it "runs if it leaves signals alone" do
      expect_several_to_pass(<<~RUBY)
        _consumer, _client, thread = started.call
        @client = nil
        second = fake_consumer(signals: false) { |_message| nil }
        Process.kill(:TERM, Process.pid)
        ended(thread)
        runner = Thread.new { second.run }
        wait_until("runs") { client.takes > 3 }
        second.stop
        same(true, ended(runner).value, "run of the second")
      RUBY
    end
  end

  it "ends its intake with them on TSTP" do
    expect_several_to_pass(<<~RUBY)
      all = Array.new(2) { started.call }
      all.each { |_consumer, client, _thread| client.assign(["orders", 0]) }
      Process.kill(:TSTP, Process.pid)
      all.each { |consumer, *| wait_until("paused") { consumer.stats[:paused] == %w[orders/0] } }
      Process.kill(:TERM, Process.pid)
      all.each { |_consumer, _client, thread| ended(thread) }
    RUBY
  end

  %i[first last].each do |position|
    it "takes signals when the one that came #{position} has ended; the old handlers are back after both" do
      expect_several_to_pass(<<~RUBY)
        all = Array.new(2) { started.call }
        goes = all.#{position}
        stays = (all - [goes]).first
        goes.first.stop
        ended(goes.last)
        check(handlers.call.none? { |signal, handler| before[signal] == handler }, "still trapped")
        Process.kill(:QUIT, Process.pid)
        same(true, ended(stays.last).value, "run")
        same(before, handlers.call, "handlers after both")
        Process.kill(:QUIT, Process.pid)
        wait_until("my own handler") { worked == [:mine] }
      RUBY
    end
  end

  it "and after others takes signals, too" do
    expect_several_to_pass(<<~RUBY)
      3.times do
        _consumer, _client, thread = started.call
        Process.kill(:TERM, Process.pid)
        same(true, ended(thread).value, "run")
        same(before, handlers.call, "handlers")
      end
    RUBY
  end

  it "leaves those alone that take no signals" do
    expect_several_to_pass(<<~RUBY)
      deaf = fake_consumer(signals: false) { |_message| nil }
      deaf_thread = Thread.new { deaf.run }
      wait_until("runs") { client.takes.positive? }
      _consumer, _client, thread = started.call
      Process.kill(:TERM, Process.pid)
      ended(thread)
      check(deaf.healthy?, "runs on")
      same(before, handlers.call, "handlers")
      deaf.stop
      ended(deaf_thread)
    RUBY
  end

  it "comes and goes while signals come in, and each stops at last" do
    expect_several_to_pass(<<~RUBY)
      trap(:TERM) { }
      storm = Thread.new { loop { Process.kill(:TERM, Process.pid); Thread.pass } }
      20.times do
        @client = nil
        consumer = fake_consumer { |_message| nil }
        ended(Thread.new { consumer.run })
        check(client.closed?, "left the group")
      end
      storm.kill
      ended(storm)
    RUBY
  end
end
