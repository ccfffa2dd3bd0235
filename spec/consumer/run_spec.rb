# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "#run" do
  # A consumer whose work (of the key "slow") waits at the gate and would be waited for, run on a thread that says in
  # `left` whether the group was left at the moment when run had ended.
  let(:busy) do
    <<~RUBY
      gate, left = Queue.new, Queue.new
      client.produce("orders", 0, "a", "slow")
      c = fake_consumer(signals: signals, shutdown_timeout: 600) { |m| m.key == "slow" ? gate.pop : worked << m.payload }
      assign_later(["orders", 0])
      thread = Thread.new do
        c.run
      ensure
        left << client.closed?
      end
      thread.report_on_exception = false
      wait_until("at work") { gate.num_waiting == 1 && client.offset_of("orders", 0) == 1 }
      winding_down = -> { wait_until("winds down") { c.stats[:shutting_down] } }
    RUBY
  end

  def expect_busy_to_pass(script, signals: false, **options)
    expect_consumer_to_pass(<<~RUBY, **options)
      signals = #{signals}
      #{busy}
      #{script}
      same(true, left.pop, "left the group when run had ended")
      same(1, client.committed[["orders", 0]], "committed")
      gate << :go
      no_threads_left
      passed
    RUBY
  end

  it "is hurried by a second exception, raises that, and leaves nothing that runs" do
    expect_busy_to_pass(<<~RUBY)
      thread.raise(IOError, "first")
      winding_down.call
      client.on_close = -> { thread.raise(IOError, "third") }
      thread.raise(IOError, "second")
      error = raised(IOError) { ended(thread).value }
      same("third", error.message, "error")
    RUBY
  end

  it "is hurried by a kill of its thread as well" do
    expect_busy_to_pass(<<~RUBY)
      thread.raise(IOError, "first")
      winding_down.call
      thread.kill
      same(nil, ended(thread).value, "value")
    RUBY
  end

  it "is hurried by Interrupt when it handles no signals" do
    expect_consumer_to_pass(<<~RUBY)
      client.produce("orders", 0, "slow")
      c = fake_consumer(signals: false, shutdown_timeout: 600) { |_message| sleep }
      assign_later(["orders", 0])
      Thread.new do
        wait_until("at work") { c.stats[:running] == 1 }
        Process.kill(:INT, Process.pid)
        wait_until("winds down") { c.stats[:shutting_down] }
        Process.kill(:INT, Process.pid)
      end
      raised(Interrupt) { c.run }
      check(client.closed?, "left the group")
      passed
      exit!(0) # its work sleeps for ever
    RUBY
  end

  it "heeds signals after an exception, too" do
    expect_busy_to_pass(<<~RUBY, signals: true)
      thread.raise(IOError, "first")
      winding_down.call
      Process.kill(:TTIN, Process.pid)
      wait_until("logged") { log.string.include?("Backtrace") }
      Process.kill(:TERM, Process.pid)
      raised(IOError) { ended(thread).value }
    RUBY
  end

  it "leaves nothing that runs, whenever and however often something is raised into its thread" do
    expect_consumer_to_pass(<<~RUBY, limit: 40)
      100.times do
        @client = nil
        c = fake_consumer { |_message| nil }
        raises = 0
        thread = Thread.new { c.run }
        thread.report_on_exception = false
        # It cannot end before more was raised.
        client.on_close = -> { enough = raises + 10; wait_until("raised more") { raises > enough } }
        wait_until("begun") { c.healthy? }
        while thread.alive?
          thread.raise(IOError, "again")
          raises += 1
          Thread.pass
        end
        raised(IOError) { thread.value }
        check(client.closed?, "left the group")
        same("DEFAULT", trap(:TERM, "DEFAULT"), "handler")
      end
      no_threads_left
      passed
    RUBY
  end

  it "raises why the polling thread could not be started" do
    expect_consumer_to_pass(<<~RUBY)
      c = fake_consumer { |_message| nil }
      starting = Module.new { def new(...) = raise(ThreadError, "can't create Thread") }
      Thread.singleton_class.prepend(starting)
      error = raised(ThreadError) { c.run }
      same("can't create Thread", error.message, "error")
      starting.remove_method(:new)
      check(!c.healthy?, "does not run")
      check(!c.inspect.include?("running"), "does not say so")
      same("DEFAULT", trap(:TERM, "DEFAULT"), "handler")
      passed
      exit!(0)
    RUBY
  end

  it "lets one of several threads in" do
    expect_consumer_to_pass(<<~RUBY)
      gate = Queue.new
      slowly = Module.new { define_method(:new) { |*arguments, **options| gate.pop && super(*arguments, **options) } }
      WorkShaper::Consumer.const_get(:PollLoop).singleton_class.prepend(slowly)
      c = fake_consumer(signals: false) { |_message| nil }
      threads = Array.new(5) { Thread.new { c.run } }
      threads.each { |thread| thread.report_on_exception = false }
      wait_until("refused") { threads.count(&:alive?) == 1 }
      one = threads.find(&:alive?)
      (threads - [one]).each do |thread|
        error = raised(WorkShaper::Error) { thread.value }
        check(error.message.include?("runs once"), error.message)
      end
      gate << :go
      c.stop
      same(true, ended(one).value, "run")
      passed
    RUBY
  end
end
