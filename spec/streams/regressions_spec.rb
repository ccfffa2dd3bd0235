# frozen_string_literal: true

require "spec_helper"

# What an adversary found in streams: each of these failed once. What hangs is ended by the watchdog.
RSpec.describe WorkShaper::Stream do
  describe "its stages" do
    it "use the room that a later one makes, all the way back to the first" do
      first = described_class.new(concurrency: 2, max_in_flight: 4, &:itself)
      second = first.stage(concurrency: 2, max_in_flight: 4, &:itself)
      third = second.stage(concurrency: 2, max_in_flight: 4, &:itself)
      third.stats # from now on they are linked
      12.times { |n| first << n }
      first.close
      eventually { [first, second, third].all? { |stage| stage.stats.values_at(:in_flight, :running) == [4, 0] } }
      expect(third.to_a).to eq((0...12).to_a)
    end
  end

  describe "a stream with a stage" do
    it "tells who pushes of the error of the stage" do
      stream = described_class.new(concurrency: 1, max_in_flight: 1, &:itself)
      stage = stream.stage(concurrency: 1, max_in_flight: 1) { raise "no" }
      pusher = Thread.new { loop { stream << 1 } }
      pusher.report_on_exception = false
      expect { stage.to_a }.to raise_error("no")
      expect { pusher.value }.to raise_error("no")
    end

    it "that was cancelled before ends the stage, too" do
      stream = described_class.new(&:itself)
      stream.cancel
      expect { stream.stage(&:itself).to_a }.to raise_error(WorkShaper::Cancelled)
    end

    it "takes no other one while that takes its results" do
      stream = described_class.new(&:itself)
      first = stream.stage(&:itself)
      first.stats
      expect { stream.stage(&:itself).to_a }.to raise_error(WorkShaper::Error, /has a stage already/)
      stream.push(1).close
      expect(first.to_a).to eq([1])
    end
  end

  # Whether the block ends long before the work that it is about, which sleeps for 30 s, would.
  def expect_soon
    began = ManagerHelpers.now
    yield
    expect(ManagerHelpers.now - began).to be < 10
  end

  describe "a failure" do
    it "of a killed worker reaches the reader of a later stage" do
      worker = Queue.new
      stream = WorkShaper.stream([1], concurrency: 1) { (worker << Thread.current) && sleep }.stage(&:itself)
      reader = Thread.new { stream.to_a }
      reader.report_on_exception = false
      worker.pop.kill
      expect { reader.value }.to raise_error(WorkShaper::Error, /killed/)
    end

    it "of a killed worker ends what runs behind it" do
      workers = Queue.new
      stream = WorkShaper.stream([0, 1], concurrency: 2) { |n| (workers << [n, Thread.current]) && sleep(30) }
      reader = Thread.new { stream.to_a }
      reader.report_on_exception = false
      first = Array.new(2) { workers.pop }.to_h[0]
      expect_soon do
        first.kill
        expect { reader.value }.to raise_error(WorkShaper::Error, /killed/)
      end
    end

    it "at a later stage ends what runs at the one before" do
      running = Queue.new
      stream = WorkShaper.stream([0, 1], concurrency: 2) { |n| n.zero? ? n : (running << n) && sleep(30) }
                         .stage { running.pop && raise("no") }
      expect_soon { expect { stream.to_a }.to raise_error("no") }
    end

    it "of a later stage's key ends what runs at the one before" do
      running = Queue.new
      stream = WorkShaper.stream([0, 1], concurrency: 2) { |n| n.zero? ? running.pop : (running << n) && sleep(30) }
                         .stage(key: ->(_) { raise "no key" }, &:itself)
      expect_soon { expect { stream.to_a }.to raise_error("no key") }
    end
  end

  describe "what its key brings to the reader" do
    it "is the reader's when it is meant for the process" do
      running = Queue.new
      stream = WorkShaper.stream([1, 2], concurrency: 1, key: ->(n) { n == 2 && running.pop && raise(Interrupt) }) do
        running << 1
        Thread.pass until WorkShaper.current.cancelled? # at its turn it would never come out
      end
      expect { stream.to_a }.to raise_error(Interrupt)
    end

    it "is a throw, as anywhere" do
      expect(catch(:done) { WorkShaper.map([1, 2], key: ->(_) { throw :done, :thrown }, &:itself) }).to eq(:thrown)
    end
  end

  describe "release" do
    it "that hangs does not keep the process from ending" do
      expect_child_to_pass(<<~RUBY)
        releasing = Queue.new
        stream = WorkShaper::Stream.new(local: -> { 1 }, release: ->(_) { (releasing << 1) && sleep }) { |n, _| n }
        stream.push(1).next
        releasing.pop
        puts "passed"
      RUBY
    end

    it "that takes long does not hold up what is pushed meanwhile" do
      releasing = Queue.new
      gate = Queue.new
      release = ->(_) { (releasing << 1) && gate.pop }
      stream = described_class.new(concurrency: 2, local: -> {}, release: release) { |n, _| n }
      expect(stream.push(1).next).to eq(1)
      releasing.pop
      expect(stream.push(2).next(timeout: 5)).to eq(2)
    ensure
      gate.close
    end
  end

  describe "a queue as its source" do
    it "is not waited for while a stage has something to bring" do
      queue = Queue.new << 1
      go = Queue.new
      stream = WorkShaper.stream(queue, concurrency: 1) { |n| go.pop && n }.stage(concurrency: 1, &:itself)
      reader = Thread.new { stream.each { queue.close } } # the next input comes when this result has come out
      Thread.pass until go.num_waiting == 1
      go << :go
      expect(reader.join(5)).to be(reader)
    ensure
      queue.close
    end
  end

  describe "a stream that is dropped" do
    it "leaves no thread, not even that of its time limit" do
      Array.new(5) { described_class.new(concurrency: 1, timeout: 0.1, deadline: 3600, &:itself) }
           .each { |stream| (stream << 1).next }
      left = -> { Thread.list.map { |thread| thread.name.to_s }.grep(/time limit|worker|acknowledger/) }
      eventually { left.call.empty? }
      expect(left.call).to be_empty
    end
  end

  describe "its room" do
    it "is used when what made it is skipped" do
      stream = described_class.new(concurrency: 1, max_in_flight: 1, give_up: :skip) { raise "no" }
      reader = Thread.new { stream.to_a }
      pusher = Thread.new do
        300.times { |n| stream << n }
        stream.close
      end
      began = ManagerHelpers.now
      [pusher, reader].each(&:join)
      expect(ManagerHelpers.now - began).to be < 20 # each waited for a tick of the watchdog, 0.1 s
    end
  end

  describe "#next" do
    it "loses nothing that comes while it reads the source" do
      stream = WorkShaper.stream(1..10, concurrency: 1, max_in_flight: 4, &:itself)
      first = stream.next
      eventually { stream.stats[:running].zero? }
      expect([first, *Array.new(9) { stream.next }]).to eq((1..10).to_a)
    end

    it "does not wait for a queue longer than it is told to, or while something is to come" do
      queue = Queue.new << 1
      stream = WorkShaper.stream(queue, concurrency: 2, &:itself)
      expect(stream.next).to eq(1)
      expect { stream.next(timeout: 0.05) }.to raise_error(WorkShaper::Timeout)
      queue << 2
      expect(stream.next(timeout: 5)).to eq(2)
      queue.close
      expect { stream.next }.to raise_error(StopIteration)
    end

    it "reads on when all that it read is skipped" do
      stream = WorkShaper.stream(1..100, max_in_flight: 2, give_up: :skip) { |n| n < 100 ? raise("no") : n }
      expect(stream.next).to eq(100)
      expect { stream.next }.to raise_error(StopIteration)
    end

    it "reads no further once something has failed" do
      read = 0
      failed = Queue.new
      source = Enumerator.new do |inputs|
        inputs << (read += 1)
        failed.pop
        loop { inputs << (read += 1) }
      end
      stream = WorkShaper.stream(source, concurrency: 1, on_error: ->(_, _) { failed.close }) { raise "no" }
      expect { stream.next }.to raise_error("no")
      expect(read).to be <= 5
    end
  end

  describe "after a fork" do
    it "gives the child of its reader's block none of the parent's results" do
      expect_child_to_pass(<<~RUBY)
        stream = WorkShaper::Stream.new(concurrency: 4) { |n| n }
        4.times { |n| stream << n }
        stream.close
        Thread.pass until stream.stats[:running].zero? && stream.stats[:waiting].zero?
        parent = Process.pid
        seen = []
        begin
          stream.each { |n| (seen << n) && n == 1 && fork }
        rescue WorkShaper::ForkedProcess
          exit!(seen == [0, 1] ? 0 : 1)
        end
        exit!(1) unless Process.pid == parent
        puts "passed" if Process.wait2.last.success? && seen == [0, 1, 2, 3]
      RUBY
    end
  end
end
