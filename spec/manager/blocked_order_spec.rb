# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "callers that are blocked" do
  # One message of the sub key runs until it is let go, and as many wait as may.
  def full_sub_key(max_in_queue: 1, **settings)
    @held = Thread::Queue.new
    shaper = manager(max_in_queue: max_in_queue, work: ->(message, *) { @held.pop unless message == :free }, **settings)
    shaper.enqueue(:key, :running, 0, 0)
    settle(shaper, running: 1)
    max_in_queue.times { |n| shaper.enqueue(:key, :waiting, 0, n + 1) }
    shaper
  end

  def full_manager(max_in_flight: 2, **settings)
    @held = Thread::Queue.new
    work = ->(message, *) { @held.pop unless message == :free }
    shaper = manager(max_in_flight: max_in_flight, work: work, **settings)
    max_in_flight.times { |n| shaper.enqueue([:head, n], :running, n, 0) }
    settle(shaper, running: max_in_flight)
    shaper
  end

  after { @held&.close }

  def block_in_order(shaper, count, key: ->(_) { :key }, partition: :blocked)
    Array.new(count) { |n| blocked_thread { shaper.enqueue(key.call(n), n, partition, n) } }
  end

  # In which order they went in: their numbers, as they were started and as their calls came back.
  def numbers
    calls.started.grep(Integer)
  end

  # Lets one message go after the other, each time waiting until it is done.
  def let_go(count)
    count.times do
      worked = calls.worked.size
      @held << true
      eventually { calls.worked.size > worked }
    end
  end

  [1, 3].each do |max_in_queue|
    it "go in as they came on one full sub key of #{max_in_queue} (I2)" do
      shaper = full_sub_key(max_in_queue: max_in_queue)
      blocked = block_in_order(shaper, 10)
      let_go(11 + max_in_queue)
      blocked.each { |thread| expect(value_of(thread)).to be(true) }
      drained(shaper)
      expect(numbers).to eq((0..9).to_a)
    end

    it "go in one for each that makes room on one full sub key of #{max_in_queue}" do
      shaper = full_sub_key(max_in_queue: max_in_queue)
      blocked = block_in_order(shaper, 5)
      5.times do |n|
        let_go(1)
        expect(value_of(blocked[n])).to be(true)
        expect(blocked.drop(n + 1)).to all(be_alive)
        expect(shaper.total_enqueued).to eq(2 + max_in_queue + n)
      end
    end
  end

  it "go in as they came at max_in_flight, those of one sub key (I2)" do
    shaper = full_manager
    blocked = block_in_order(shaper, 8)
    let_go(10)
    blocked.each { |thread| expect(value_of(thread)).to be(true) }
    expect(numbers).to eq((0..7).to_a)
  end

  it "go in as they came at max_in_flight, each sub key for itself (I2)" do
    shaper = full_manager
    blocked = block_in_order(shaper, 12, key: ->(n) { [:key, n % 3] })
    let_go(14)
    blocked.each { |thread| expect(value_of(thread)).to be(true) }
    3.times { |key| expect(numbers.select { |n| n % 3 == key }).to eq((0..11).select { |n| n % 3 == key }) }
  end

  { "a full sub key" => :full_sub_key, "max_in_flight" => :full_manager }.each do |what, make|
    # There is room already, but whoever is to have it has not come yet.
    it "are not overtaken at #{what} by a newcomer (I2)" do
      shaper = send(make)
      blocked = block_in_order(shaper, 3)
      # As fast as it can, all the while: it must not get in before the others.
      trying = in_thread do
        sleep 0 until shaper.try_enqueue(:key, 100, :blocked, 100)
      end
      let_go(3)
      blocked.each { |thread| expect(value_of(thread)).to be(true) }
      let_go(3)
      value_of(trying)
      @held.close
      drained(shaper)
      expect(numbers).to eq([0, 1, 2, 100])
    end

    it "are not overtaken at #{what} by an enqueue that comes when room is made (I2)" do
      20.times do |round|
        @calls = ManagerHelpers::Calls.new
        shaper = send(make)
        blocked = block_in_order(shaper, 2)
        late = in_thread do
          (round % 5).times { Thread.pass }
          shaper.enqueue(:key, 100, :blocked, 100)
        end
        @held.close
        (blocked << late).each { |thread| expect(value_of(thread)).to be(true) }
        drained(shaper)
        expect(numbers).to eq([0, 1, 100])
      end
    end

    cuts = { "is killed" => lambda(&:kill), "gets an exception" => ->(thread) { thread.raise(IOError, "enough") } }
    cuts.each do |name, cut|
      it "go in as they came at #{what} when the first #{name} (I2, I5)" do
        shaper = send(make)
        blocked = block_in_order(shaper, 6)
        [0, 3].each { |n| cut.call(blocked[n]) && blocked[n].join(ManagerHelpers::DEADLINE) rescue nil } # rubocop:disable Style/RescueModifier
        let_go(6)
        blocked.values_at(1, 2, 4, 5).each { |thread| expect(value_of(thread)).to be(true) }
        @held.close
        drained(shaper)
        expect(numbers).to eq([1, 2, 4, 5])
      end
    end

    it "go in as they came at #{what} when the first is out of time (I2, I5)" do
      shaper = send(make)
      first = blocked_thread do
        shaper.enqueue(:key, 50, :blocked, 50, timeout: 0.2)
      rescue WorkShaper::Full
        :full
      end
      blocked = block_in_order(shaper, 4)
      expect(value_of(first)).to eq(:full)
      let_go(5)
      blocked.each { |thread| expect(value_of(thread)).to be(true) }
      @held.close
      drained(shaper)
      expect(numbers).to eq((0..3).to_a)
    end
  end

  it "go in as they came when a revoke makes the room (I2)" do
    shaper = full_sub_key(max_in_queue: 3)
    blocked = block_in_order(shaper, 3)
    expect(shaper.revoke(0).size).to eq(3)
    blocked.each { |thread| expect(value_of(thread)).to be(true) }
    @held.close
    drained(shaper)
    expect(numbers).to eq([0, 1, 2])
  end

  it "wait behind those of their own sub key only" do
    shaper = full_sub_key
    blocked_thread { shaper.enqueue(:key, 0, 0, 9) }
    expect(shaper.try_enqueue(:key, :free, 0, 10)).to be(false)
    expect(bounded { shaper.enqueue(:other, :free, 1, 0) }).to be(true)
    expect(shaper.try_enqueue(:another, :free, 1, 1)).to be(true)
  end

  it "go in as they came in many rounds, whoever else blocks" do
    shaper = manager(max_in_queue: 1, concurrency: 3)
    lines = Array.new(3) do |key|
      in_thread { 100.times { |n| shaper.enqueue(key, [key, n], key, n) } }
    end
    lines.each { |line| value_of(line) }
    drained(shaper)
    3.times { |key| expect(calls.started.select { |one, _| one == key }.map(&:last)).to eq((0...100).to_a) }
  end
end
