# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "bad input" do
  # One running and one waiting, so that whatever a bad call changed shows.
  def busy_manager
    @held = gate
    shaper = manager(concurrency: 1, max_in_queue: 2, work: ->(message, _, _) { @held.pass if message == :held })
    shaper.enqueue(:key, :held, :p, 0)
    shaper.enqueue(:key, :free, :p, 1)
    settle(shaper, running: 1, waiting: 1)
    shaper
  end

  # The manager goes on where it was: what it had is finished and acknowledged, and so is what comes.
  def expect_to_work(shaper)
    shaper.enqueue(:key, :free, :p, 2)
    shaper.enqueue(:other, :free, :q, 0)
    @held.open
    drained(shaper)
    expect([calls.acks(:p), calls.acks(:q)]).to eq([[0, 1, 2], [0]])
    expect(calls.worked).to contain_exactly(:held, :free, :free, :free)
    expect(shaper.stats).to include(total_enqueued: 4, total_acked: 4, in_flight: 0, sub_keys: 0, fatal: nil)
  end

  odd_key = lambda do |hash: -> { 1 }, eql: -> { true }|
    Class.new do
      define_method(:hash) { hash.call }
      define_method(:eql?) { |_other| eql.call }
      define_method(:inspect) { "odd key" }
    end.new
  end

  offsets = { ArgumentError => [-1, 2**63, 2**64, -(2**70), 10**40],
              TypeError => [nil, "5", 5.0, 5r, Float::NAN, Float::INFINITY, :five, [5], true, Object.new] }
  # A Complex is a Numeric that cannot be compared.
  timeouts = { ArgumentError => [-1, -0.001, -1r, -(10**40), Float::NAN, -Float::INFINITY],
               TypeError => ["5", :five, [5], {}, true, false, Object.new] }

  table = {
    "enqueue without arguments" => [ArgumentError, :enqueue.to_proc],
    "enqueue without an offset" => [ArgumentError, ->(s) { s.enqueue(:key, :m, :p) }],
    "enqueue with five arguments" => [ArgumentError, ->(s) { s.enqueue(:key, :m, :p, 2, 3) }],
    "enqueue with a Hash for keywords" => [ArgumentError, ->(s) { s.enqueue(:key, :m, :p, 2, { timeout: 1 }) }],
    "enqueue with an unknown keyword" => [ArgumentError, ->(s) { s.enqueue(:key, :m, :p, 2, limit: 1) }],
    "enqueue with a keyword beside timeout:" => [ArgumentError, lambda { |s|
      s.enqueue(:key, :m, :p, 2, timeout: 1, limit: 1)
    }],
    "enqueue with a String as keyword" => [ArgumentError, ->(s) { s.enqueue(:key, :m, :p, 2, "timeout" => 1) }],
    "try_enqueue without an offset" => [ArgumentError, ->(s) { s.try_enqueue(:key, :m, :p) }],
    "try_enqueue with five arguments" => [ArgumentError, ->(s) { s.try_enqueue(:key, :m, :p, 2, 3) }],
    "try_enqueue with timeout:" => [ArgumentError, ->(s) { s.try_enqueue(:key, :m, :p, 2, timeout: 1) }],
    "flush with an argument" => [ArgumentError, ->(s) { s.flush(true) }],
    "flush with an unknown keyword" => [ArgumentError, ->(s) { s.flush(force: true) }],
    "drain with an argument" => [ArgumentError, ->(s) { s.drain(1) }],
    "drain with an unknown keyword" => [ArgumentError, ->(s) { s.drain(limit: 1) }],
    "revoke without arguments" => [ArgumentError, :revoke.to_proc],
    "revoke with two arguments" => [ArgumentError, ->(s) { s.revoke(:p, :q) }],
    "shutdown with an argument" => [ArgumentError, ->(s) { s.shutdown(1) }],
    "shutdown with an unknown keyword" => [ArgumentError, ->(s) { s.shutdown(limit: 1) }],
    "request_shutdown with an argument" => [ArgumentError, ->(s) { s.request_shutdown(1) }],
    "report with an argument" => [ArgumentError, ->(s) { s.report(true) }],
    "report with an unknown keyword" => [ArgumentError, ->(s) { s.report(detail: true) }],
    "stats with an argument" => [ArgumentError, ->(s) { s.stats(1) }],
    "total_enqueued with an argument" => [ArgumentError, ->(s) { s.total_enqueued(1) }],
    "total_acked with an argument" => [ArgumentError, ->(s) { s.total_acked(1) }],
    "shutting_down with an argument" => [ArgumentError, ->(s) { s.shutting_down(1) }],
    "shutting_down? with an argument" => [ArgumentError, ->(s) { s.shutting_down?(1) }],
    "setting total_acked" => [NoMethodError, ->(s) { s.total_acked = 1 }],
    "setting shutting_down" => [NoMethodError, ->(s) { s.shutting_down = true }],
    "a method that is not there" => [NoMethodError, :enqueue_all.to_proc]
  }

  offsets.each do |error, values|
    values.each do |value|
      shown = value.inspect.sub(/0x\h+/, "")
      table["enqueue with the offset #{shown}"] = [error, ->(s) { s.enqueue(:key, :m, :p, value) }]
      table["enqueue with the offset #{shown} of a new partition"] = [error, ->(s) { s.enqueue(:new, :m, :new, value) }]
      table["try_enqueue with the offset #{shown}"] = [error, ->(s) { s.try_enqueue(:key, :m, :p, value) }]
    end
  end

  timeouts.each do |error, values|
    values.each do |value|
      shown = value.inspect.sub(/0x\h+/, "")
      table["enqueue with timeout: #{shown}"] = [error, ->(s) { s.enqueue(:key, :m, :p, 2, timeout: value) }]
      table["drain with timeout: #{shown}"] = [error, ->(s) { s.drain(timeout: value) }]
      table["shutdown with timeout: #{shown}"] = [error, ->(s) { s.shutdown(timeout: value) }]
    end
  end

  failing_keys = {
    "raises from hash" => [IOError, { hash: -> { raise IOError, "no hash" } }],
    "raises what is no StandardError from hash" => [NotImplementedError, { hash: -> { raise NotImplementedError } }],
    "has a String for hash" => [TypeError, { hash: -> { "one" } }],
    "has nil for hash" => [TypeError, { hash: -> {} }]
  }
  failing_keys.each do |what, (error, parts)|
    table["enqueue with a sub key that #{what}"] = [error, ->(s) { s.enqueue(odd_key.call(**parts), :m, :p, 2) }]
    table["enqueue with a partition that #{what}"] = [error, ->(s) { s.enqueue(:key, :m, odd_key.call(**parts), 2) }]
    table["enqueue with a new sub key and a partition that #{what}"] =
      [error, ->(s) { s.enqueue(:new, :m, odd_key.call(**parts), 2) }]
    table["enqueue with a new partition and a sub key that #{what}"] =
      [error, ->(s) { s.enqueue(odd_key.call(**parts), :m, :new, 2) }]
    table["try_enqueue with a sub key that #{what}"] = [error, lambda { |s|
      s.try_enqueue(odd_key.call(**parts), :m, :p, 2)
    }]
    table["revoke with a partition that #{what}"] = [error, ->(s) { s.revoke(odd_key.call(**parts)) }]
  end
  table["enqueue with a BasicObject as sub key"] = [NoMethodError, ->(s) { s.enqueue(BasicObject.new, :m, :p, 2) }]
  table["enqueue with a BasicObject as partition"] = [NoMethodError, ->(s) { s.enqueue(:new, :m, BasicObject.new, 2) }]

  table.each do |name, (error, call)|
    it "refuses #{name} and is as before" do
      shaper = busy_manager
      before = steady_stats(shaper)
      expect { bounded { call.call(shaper) } }.to raise_error(error)
      expect(steady_stats(shaper)).to eq(before)
      expect_to_work(shaper)
    end
  end

  it "refuses a Complex for a timeout, which is Numeric but has no order" do
    shaper = busy_manager
    [-> { shaper.enqueue(:key, :m, :p, 2, timeout: 1i) }, -> { shaper.drain(timeout: 1i) },
     -> { shaper.shutdown(timeout: 1i) }].each do |call|
      expect { bounded(&call) }.to(raise_error { |error| expect([TypeError, ArgumentError]).to include(error.class) })
    end
    expect_to_work(shaper)
  end

  { "sub key" => ->(s, key) { s.enqueue(key, :m, :p, 2) }, "partition" => ->(s, key) { s.enqueue(:key, :m, key, 2) } }
    .each do |what, call|
      it "is as before when eql? of a #{what} raises on an equal hash" do
        broken = false
        first, second = Array.new(2) { odd_key.call(eql: -> { broken ? raise(IOError, "not comparable") : true }) }
        @held = gate
        shaper = manager(concurrency: 1, work: ->(message, _, _) { @held.pass if message == :held })
        shaper.enqueue(first, :held, first, 0)
        settle(shaper, running: 1)
        before = steady_stats(shaper)
        broken = true
        expect { call.call(shaper, second) }.to raise_error(IOError, "not comparable")
        broken = false
        expect(steady_stats(shaper)).to eq(before)
        @held.open
        drained(shaper)
        expect(calls.acks).to eq([0])
      end

      it "is as before when hash of a #{what} throws" do
        shaper = busy_manager
        before = steady_stats(shaper)
        key = odd_key.call(hash: -> { throw :out, :thrown })
        expect(catch(:out) { call.call(shaper, key) }).to eq(:thrown)
        expect(steady_stats(shaper)).to eq(before)
        expect_to_work(shaper)
      end
    end

  it "is as before when the thread is killed in hash of a sub key or partition" do
    shaper = busy_manager
    before = steady_stats(shaper)
    [->(key) { shaper.enqueue(key, :m, :p, 2) }, ->(key) { shaper.enqueue(:new, :m, key, 2) }].each do |call|
      killed = in_thread { call.call(odd_key.call(hash: -> { Thread.exit })) }
      expect(killed.join(ManagerHelpers::DEADLINE)).to equal(killed)
    end
    expect(steady_stats(shaper)).to eq(before)
    expect_to_work(shaper)
  end

  it "says what was wrong with an offset" do
    shaper = manager
    expect { shaper.enqueue(:key, :m, 0, -5) }.to raise_error(ArgumentError, /offset.*-5/)
    expect { shaper.enqueue(:key, :m, 0, 2**63) }.to raise_error(ArgumentError, /offset.*9223372036854775808/)
    expect { shaper.enqueue(:key, :m, 0, "5") }.to raise_error(TypeError, /offset/)
    expect { shaper.enqueue(:key, :m, 0, 5, timeout: -1) }.to raise_error(ArgumentError, /timeout.*-1/)
  end

  it "checks the offset and the timeout before it looks whether there is room" do
    @held = gate
    shaper = manager(max_in_flight: 1, work: ->(_, _, _) { @held.pass })
    shaper.enqueue(:key, :m, 0, 0)
    expect { bounded { shaper.enqueue(:key, :m, 0, nil) } }.to raise_error(TypeError)
    expect { bounded { shaper.enqueue(:key, :m, 0, 1, timeout: -1) } }.to raise_error(ArgumentError)
    expect { shaper.try_enqueue(:key, :m, 0, -1) }.to raise_error(ArgumentError)
  end

  it "refuses bad input after shutdown, too, with whichever error, and never with success" do
    shaper = manager
    shaper.shutdown
    [[:key, :m, 0, nil], [:key, :m, 0, -1], [odd_key.call(hash: -> { raise IOError }), :m, 0, 1]].each do |arguments|
      expect { shaper.enqueue(*arguments) }.to raise_error(StandardError)
    end
    expect(shaper.total_enqueued).to eq(0)
  end

  it "is not initialized twice" do
    shaper = busy_manager
    before = steady_stats(shaper)
    expect { shaper.send(:initialize, work: ->(_, _, _) {}, ack: ->(_, _) {}) }.to raise_error(StandardError)
    expect(steady_stats(shaper)).to eq(before)
    expect_to_work(shaper)
  end

  it "is neither copied nor dumped" do
    shaper = busy_manager
    %i[dup clone].each { |copy| expect { shaper.public_send(copy) }.to raise_error(StandardError), copy.to_s }
    expect { Marshal.dump(shaper) }.to raise_error(TypeError)
    expect_to_work(shaper)
  end

  # In a process of its own: what is wrong here crashes.
  it "does not crash where initialize never ran, or failed" do
    result = run_ruby(<<~RUBY, limit: 30)
      require "work_shaper"
      calls = { enqueue: [:key, :m, 0, 0], try_enqueue: [:key, :m, 0, 0], flush: [], drain: [], revoke: [0], shutdown: [],
                request_shutdown: [], report: [], stats: [], total_enqueued: [], total_acked: [], shutting_down: [],
                shutting_down?: [], inspect: [] }
      half_made = Class.new(WorkShaper::Manager) { def initialize; end }.new
      failed = WorkShaper::Manager.allocate
      begin
        failed.send(:initialize, work: nil, ack: nil)
      rescue TypeError
        nil
      end
      begin
        bare = WorkShaper::Manager.allocate
      rescue TypeError, NoMethodError
        bare = nil
      end
      answers = [half_made, failed, bare].compact.flat_map do |shaper|
        calls.map do |name, arguments|
          shaper.public_send(name, *arguments)
          name
        rescue StandardError => error
          error.class
        end
      end
      GC.start
      # Nothing can be taken in by what has no work to do.
      puts answers.include?(:enqueue) || answers.include?(:try_enqueue) ? "taken" : "passed"
    RUBY
    expect(result).to be_passed, -> { result.to_s }
  end
end
