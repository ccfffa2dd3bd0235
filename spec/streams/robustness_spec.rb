# frozen_string_literal: true

require "spec_helper"

# What threads, signals, forks and the end of the process do to streams; the collector is in gc_spec.rb.
RSpec.describe WorkShaper::Stream do
  it "tells of each input once, whichever of its threads are killed, and when" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      ours = -> { Thread.list.select { |thread| thread.name.to_s.match?(/worker|acknowledger|timekeeper/) } }
      20.times do |run|
        stream = WorkShaper.stream(1..200, concurrency: 4, give_up: :collect, attempts: 2, wait: 0.001, deadline: 60,
                                           key: ->(n) { n.odd? ? nil : n % 3 }, priority: ->(n) { n % 2 }) do |n|
          sleep 0.0003
          raise "no" if (n % 7).zero?
          n
        end
        last = stream.stage(concurrency: 2, give_up: :collect) { |n| n }
        out = []
        told = 0
        killer = Thread.new { sleep(0.002) && ours.call.sample&.kill while true }
        begin
          last.each { |n| out << n }
        rescue WorkShaper::Failures => e
          told = e.size
        end
        killer.kill.join
        same(200, out.size + told, "in run \#{run}")
        same(out.sort, out, "order")
        same([], ours.call, "threads")
      end
      passed
    RUBY
  end

  it "is done with when a Timeout ends its reader" do
    expect_child_to_pass(<<~RUBY)
      50.times do |run|
        began = 0
        stream = WorkShaper.stream(1.step, concurrency: 3) { |n| (began += 1) && sleep(0.0005) && n }.stage { |n| n }
        raised(Timeout::Error) { Timeout.timeout(0.001 * (run % 5 + 1)) { stream.each { |n| n } } }
        before = began
        same([], Thread.list.select { |thread| thread.name.to_s.include?("work_shaper worker") }, "workers")
        Thread.pass
        same(before, began, "nothing begins any more")
      end
      passed
    RUBY
  end

  it "raises into readers and pushers what others raise there, and nothing is stuck" do
    expect_child_to_pass(<<~RUBY, limit: 40)
      class Stop < StandardError; end
      30.times do
        stream = WorkShaper::Stream.new(concurrency: 2, max_in_flight: 3, timeout: 5) { |n| sleep(0.0002) && n }
        there = Queue.new
        pushers = Array.new(2) { Thread.new { (there << 1; stream << 1 while true) rescue $!.class } }
        readers = Array.new(2) { Thread.new { (there << 1; stream.each { |n| n }) rescue $!.class } }
        4.times { there.pop }
        sleep 0.003 # to be anywhere in there
        pushers[0].raise(Stop)
        same(Stop, pushers[0].value, "pusher")
        readers[0].raise(Stop)
        same(Stop, readers[0].value, "reader")
        same([WorkShaper::Cancelled] * 2, [pushers[1].value, readers[1].value], "the others")
      end
      passed
    RUBY
  end

  it "is ended by a trap handler, whatever the main thread is at" do
    expect_child_to_pass(<<~RUBY, limit: 40)
      30.times do |run|
        stream = WorkShaper.stream(1.step, concurrency: 3, key: ->(n) { n % 2 }) { |n| sleep(0.0002) && n }.stage { |n| n }
        trap("USR1") { stream.cancel }
        Thread.new { sleep(0.0005 * run) && Process.kill(:USR1, Process.pid) }
        raised(WorkShaper::Cancelled) { stream.each { |n| n } }
        same([], Thread.list.select { |thread| thread.name.to_s.include?("work_shaper") }, "threads")
      end
      passed
    RUBY
  end

  describe "after a fork" do
    it "works in a child, a new one, and goes on in the parent, wherever that forked" do
      expect_child_to_pass(<<~RUBY, limit: 40)
        children = Queue.new
        child = lambda do |old|
          fork do
            raised(WorkShaper::ForkedProcess) { old.push(1) }
            exit!(WorkShaper.map(1..20, concurrency: 3) { |n| n * n }.sum == 2870 ? 0 : 1)
          end
        end
        stream = WorkShaper::Stream.new(concurrency: 3, key: ->(n) { n % 2 }, timeout: 30) do |n|
          children << child.call(stream) if n == 5 # in work
          n
        end
        pusher = Thread.new { 50.times { |n| stream << n } && stream.close }
        out = []
        stream.each { |n| (out << n) && n == 20 && children << child.call(stream) } # in the reader
        same((0...50).to_a, out, "results")
        2.times { same(true, Process.wait2(children.pop).last.success?, "child") }
        passed
      RUBY
    end
  end

  describe "at the end of the process" do
    # What is going on when main ends; after which the process must end soon, and quietly.
    {
      "unread results" => "s = WorkShaper::Stream.new { |n| n }; 5.times { |n| s << n }",
      "work that runs" => "s = WorkShaper::Stream.new { |n| started.call; sleep }; s << 1; wait.call",
      "work that waits for its next try" =>
        "s = WorkShaper::Stream.new(attempts: 2, wait: 60) { |n| raise 'no' }; s << 1; Thread.pass until " \
        "s.stats[:retrying] == 1",
      "a reader" => "s = WorkShaper::Stream.new { |n| n }; Thread.new { s.each { } }; Thread.pass",
      "a reader of a source" => "s = WorkShaper.stream(1.step) { |n| started.call; n }; " \
                                "Thread.new { s.each { } }; wait.call",
      "a pusher" => "s = WorkShaper::Stream.new(max_in_flight: 1) { |n| n }; Thread.new { s << 1 << 2 }; Thread.pass",
      "a deadline" => "s = WorkShaper::Stream.new(deadline: 60) { |n| n }; s << 1",
      "a rate" => "s = WorkShaper::Stream.new(rate: 0.01) { |n| n }; 3.times { |n| s << n }"
    }.each do |name, script|
      it "holds nothing up: #{name}" do
        expect_child_to_pass(<<~RUBY, limit: 15)
          began = Queue.new
          started = -> { began << 1 }
          wait = -> { began.pop }
          #{script}
          passed
        RUBY
      end
    end

    it "that comes from work is an input's error" do
      stream = WorkShaper.stream([1]) { exit }
      expect { stream.to_a }.to raise_error(WorkShaper::Error, /SystemExit/)
    end
  end
end
