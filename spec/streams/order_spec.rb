# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Stream do
  def stream(**options, &block)
    described_class.new(**options, &block || :itself)
  end

  describe "results" do
    it "come in the order of the inputs, whoever is finished first" do
      expect(WorkShaper.map(1..200, concurrency: 8) { |n| sleep(rand * 0.003) && n }).to eq([*1..200])
    end

    it "come as they are finished when that is asked for" do
      gate = Queue.new
      results = described_class.new(concurrency: 2, ordered: false) { |name| name == :slow ? gate.pop : name }
      results << :slow << :quick
      expect(results.next).to eq(:quick)
      gate << :at_last
      expect(results.next).to eq(:at_last)
    end

    it "may be nil and false, like inputs" do
      expect(WorkShaper.map([nil, false, 1], &:itself)).to eq([nil, false, 1])
    end

    it "come by ascending index, with gaps, and duplicates both" do
      indexed = stream(concurrency: 3)
      [9, 4, 4, 1, 100].each { |index| indexed.push("at #{index}", index: index) }
      expect(indexed.close.to_a).to eq(["at 1", "at 4", "at 4", "at 9", "at 100"])
    end

    it "of a late index come at once; without an index, after the highest" do
      indexed = stream
      indexed.push(:ten, index: 10)
      expect(indexed.next).to eq(:ten)
      indexed.push(:twenty, index: 20)
      indexed.push(:three, index: 3)
      indexed << :after_twenty
      expect(indexed.close.to_a).to eq(%i[three twenty after_twenty])
    end

    it "go to one of several readers each" do
      shared = stream(concurrency: 4)
      readers = Array.new(3) { Thread.new { shared.to_a } }
      500.times { |n| shared << n }
      shared.close
      parts = readers.map(&:value)
      expect(parts.sum([]).sort).to eq([*0...500])
      expect(parts).to all(satisfy { |part| part == part.sort })
    end
  end

  describe "a source" do
    it "is read on the thread of each, as far as there is room" do
      threads = []
      read = 0
      source = Enumerator.new do |inputs|
        loop { (inputs << (read += 1)) && (threads << Thread.current) }
      end
      expect(WorkShaper.stream(source, concurrency: 2, max_in_flight: 5, &:itself).first(3)).to eq([1, 2, 3])
      expect(read).to be_between(3, 9)
      expect(threads.uniq).to eq([Thread.current])
    end

    it "may be a Hash, an object that has nothing but each, and be read again" do
      pairs = WorkShaper.stream({ a: 1, b: 2 }) { |key, value| [value, key] }
      expect([pairs.to_a, pairs.to_a]).to eq([[[1, :a], [2, :b]]] * 2)
      bare = Object.new
      def bare.each = yield(7)
      expect(WorkShaper.map(bare, &:succ)).to eq([8])
    end

    it "may be a queue, which its close or nil ends; results come while it is empty" do
      queue = Queue.new
      results = []
      reader = Thread.new { WorkShaper.stream(queue, &:succ).each { |result| results << result } }
      queue << 1
      eventually { results == [2] }
      queue << 5 << nil
      reader.join
      expect(results).to eq([2, 6])
      expect(WorkShaper.map(SizedQueue.new(3).tap { |sized| (sized << 1 << 2).close }, &:succ)).to eq([2, 3])
    end

    it "raises its error when all that came before is taken" do
      source = Enumerator.new { |inputs| (inputs << 1 << 2) && raise(IOError, "of the source") }
      results = []
      expect { WorkShaper.stream(source) { |n| sleep(0.01) && n }.each { |n| results << n } }
        .to raise_error(IOError, "of the source")
      expect(results).to eq([1, 2])
    end

    it "that raises what ends a loop is no end of it" do
      source = Enumerator.new { |inputs| (inputs << 1) && raise(StopIteration, "of the source") }
      expect { loop { WorkShaper.map(source, &:itself) } }
        .to raise_error(WorkShaper::Error) { |error| expect(error.cause).to be_a(StopIteration) }
    end

    it "is one thing, pushing another" do
      expect { WorkShaper.stream([1], &:itself) << 2 }.to raise_error(WorkShaper::Error, /has a source/)
      expect { WorkShaper.map(nil, &:itself) }.to raise_error(TypeError, /must answer each or pop/)
      expect { WorkShaper.stream(7, &:itself) }.to raise_error(TypeError, /source is 7/)
    end
  end

  describe "pushing" do
    it "waits for room, which taking makes" do
      full = stream(max_in_flight: 2)
      expect(Array.new(3) { |n| full.try_push(n) }).to eq([true, true, false])
      expect { full.push(2, timeout: 0.01) }.to raise_error(WorkShaper::Full)
      pusher = Thread.new { full << 2 }
      eventually { pusher.status == "sleep" }
      expect(full.next).to eq(0)
      pusher.join
      expect(full.stats).to include(pushed: 3, taken: 1, in_flight: 2)
      expect(full.close.to_a).to eq([1, 2])
    end

    it "with a block yields what has come, so that one thread pushes and reads" do
      results = []
      both = stream(concurrency: 2, max_in_flight: 4)
      1_000.times { |n| both.push(n) { |result| results << result } }
      both.close.each { |result| results << result }
      expect(results).to eq([*0...1_000])
    end

    it "does not wait for itself inside the stream's own work" do
      own = described_class.new(concurrency: 1, max_in_flight: 1) { own << 1 }
      own << 0
      expect { own.next }.to raise_error(WorkShaper::Full, /wait for itself/)
    end

    it "ends with close, which can be repeated" do
      closed = stream
      expect(closed).not_to be_closed
      expect((closed << 1).close.close).to be(closed).and be_closed
      expect { closed << 2 }.to raise_error(WorkShaper::Closed)
      expect { closed.try_push(2) }.to raise_error(WorkShaper::Closed)
      expect(closed.to_a).to eq([1])
    end

    it "refuses an index that is none, and changes nothing" do
      [-1, 2**63].each { |index| expect { stream.push(1, index: index) }.to raise_error(ArgumentError, /index/) }
      ["1", 1.0].each { |index| expect { stream.push(1, index: index) }.to raise_error(TypeError, /index/) }
    end
  end

  describe "next" do
    it "gives one result, in time or never, and StopIteration at the end" do
      gate = Queue.new
      slow = described_class.new { |n| gate.pop && n }
      slow << 1
      expect { slow.next(timeout: 0.01) }.to raise_error(WorkShaper::Timeout)
      gate << :open
      expect(slow.next).to eq(1)
      slow.close
      2.times { expect { slow.next }.to raise_error(StopIteration) }
    end

    it "reads a source, too" do
      numbers = WorkShaper.stream(1..3) { |n| n * 2 }
      results = []
      loop { results << numbers.next }
      expect(results).to eq([2, 4, 6])
      expect { numbers.next }.to raise_error(StopIteration)
      expect(numbers.to_a).to eq([2, 4, 6])
    end
  end

  describe "keys and priorities" do
    it "run the inputs of a key one after the other, in order; others go on" do
      at_work = Hash.new(0)
      began = Hash.new { |hash, key| hash[key] = [] }
      WorkShaper.map(0...400, concurrency: 8, key: ->(n) { n % 5 unless n % 7 == 0 }) do |n|
        key = n % 7 == 0 ? nil : n % 5
        began[key] << n
        raise "two at a time" if key && (at_work[key] += 1) > 1

        sleep 0.0002
        at_work[key] -= 1
      end
      expect(began.except(nil).values).to all(satisfy { |numbers| numbers == numbers.sort })
    end

    it "start the highest priority first, and keep the order of a key" do
      gate = Queue.new
      order = []
      work = described_class.new(concurrency: 1, max_in_flight: 9, priority: :first.to_proc,
                                 key: :last.to_proc) do |input|
        input.last == :first ? gate.pop : order << input
      end
      work << [0, :first]
      eventually { gate.num_waiting == 1 }
      [[1, nil], [3, nil], [-5, :a], [9, :a], [3, nil]].each { |input| work << input }
      gate << 1
      work.close.to_a
      expect(order).to eq([[3, nil], [3, nil], [1, nil], [-5, :a], [9, :a]])
    end

    it "that raise are refused at the door, or stand at their input's place" do
      broken = ->(n) { n == 2 ? raise(KeyError, "no key for #{n}") : n }
      pushed = stream(key: broken)
      expect { pushed << 2 }.to raise_error(KeyError)
      expect(pushed.stats).to include(pushed: 0, in_flight: 0)
      results = []
      expect { WorkShaper.stream(1..3, key: broken, &:itself).each { |n| results << n } }.to raise_error(KeyError)
      expect(results).to eq([1])
      expect { stream(priority: ->(_) { 2**20 }) << 1 }.to raise_error(ArgumentError, /priority returned 1048576/)
      expect { stream(priority: ->(_) { "high" }) << 1 }.to raise_error(TypeError, /priority returned "high"/)
    end
  end

  it "starts no more than the rate lets, and follows when that is raised" do
    rate = WorkShaper::Rate.new(50, burst: 1)
    began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    WorkShaper.map(1..20, rate: rate, &:itself)
    expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - began).to be >= 0.37
    rate.limit = 0.1
    slow = stream(rate: rate)
    2.times { |n| slow << n }
    rate.limit = 10_000
    expect(slow.next(timeout: 5)).to eq(0)
    expect(slow.next(timeout: 5)).to eq(1)
  end

  it "changes its concurrency while it runs" do
    gate = Queue.new
    changing = described_class.new(concurrency: 2, max_in_flight: 100) { gate.pop }
    10.times { |n| changing << n }
    eventually { changing.stats[:running] == 2 }
    changing.concurrency = 5
    eventually { changing.stats[:running] == 5 }
    changing.concurrency = 1
    5.times { gate << 1 }
    eventually { changing.stats.values_at(:running, :workers) == [1, 1] }
    gate.close
    expect(changing.close.count).to eq(10)
  end

  it "makes what the work of a thread shares once, and releases it" do
    made = Queue.new
    released = Queue.new
    most = Queue.new # workers that have nothing to do for long end, and others come
    local = -> { Object.new.tap { |object| (made << object) && (most << (made.size - released.size)) } }
    locals = WorkShaper.map(1..50, concurrency: 3, local: local, release: ->(object) { released << object }) do |_, one|
      sleep(0.001) && one
    end
    expect(locals.uniq.size).to eq(made.size)
    expect(Array.new(most.size) { most.pop }.max).to be_between(1, 3)
    expect(Array.new(released.size) { released.pop }).to match_array(locals.uniq)
  end

  it "logs what release raises" do
    WorkShaper.logger = log
    WorkShaper.map([1], local: -> { 1 }, release: ->(_) { raise IOError, "cannot close" }) { nil }
    expect(eventually { log.entries(/Error in release/, "ERROR").first }.to_s).to include("cannot close")
  end

  it "has the numbers of the last each" do
    numbers = WorkShaper.stream(1..7, give_up: :skip) { |n| n == 3 ? raise("three") : n }
    expect(numbers.stats.values.uniq).to eq([0])
    numbers.to_a
    expect(numbers.stats).to include(pushed: 7, taken: 7, in_flight: 0, failed: 0, skipped: 1, workers: 0)
  end

  it "tells its progress on the reader's thread, and the end of it" do
    told = []
    progress = ->(done, total) { told << [done, total, Thread.current] }
    WorkShaper.map([*1..300], progress: progress) { |n| sleep(0.001) && n }
    expect(told.last).to eq([300, 300, Thread.current])
    expect(told.size).to be < 30
  end

  it "keeps no thread when nothing is inside, and goes on with the next push" do
    expect_child_to_pass(<<~RUBY)
      [{}, { deadline: 60 }, { timeout: 60 }, { rate: 1_000 }].each do |options|
        stream = WorkShaper::Stream.new(concurrency: 4, **options) { |n| n + 1 }
        2.times do |round|
          stream << round
          same(round + 1, stream.next, "result")
          wait_until("no thread left") { threads_named("work_shaper").empty? }
        end
      end
      stream = WorkShaper::Stream.new(deadline: 1) { |n| n + 1 }
      stream << 1
      wait_until("no thread left") { threads_named("work_shaper").empty? }
      wait_until("late") { stream.try_push(2) && false rescue true }
      raised(WorkShaper::Timeout) { stream.next }
      passed
    RUBY
  end
end
