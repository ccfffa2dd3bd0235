# frozen_string_literal: true

require "spec_helper"

# Memory follows use down as well as up.
RSpec.describe "What a manager holds after a spike" do
  prelude = <<~RUBY
    require "objspace"
    WorkShaper.logger = Logger.new(File::NULL)
    def gate = @gate
    def spiking_manager(**settings)
      manager(work: ->(message, *) { @gate.pop if message }, ack: ->(*) { true }, acks: :latest, concurrency: 3,
              max_in_queue: 1_000_000, max_in_flight: 1_000_000, **settings)
    end

    # The head holds up all that is given, until the block is through.
    def spike(m, partition, offsets, keys: 100, all_wait: nil)
      @gate = Queue.new
      m.enqueue([:head, partition], true, partition, offsets.first)
      @peak = 0
      offsets.drop(1).each_with_index do |offset, number|
        m.enqueue(offset % keys, all_wait, partition, offset)
        @peak = [@peak, kilobytes(m)].max if (number % 2_000).zero?
      end
      yield if block_given?
      @gate.close
      same(true, m.drain(timeout: 20), "drain")
    end

    def kilobytes(m) = ObjectSpace.memsize_of(m) / 1024

    # Some is let go of a little later, by whoever is idle.
    def comes_back(m, limit)
      end_of_patience = now + 10
      sleep 0.01 until kilobytes(m) < limit || now > end_of_patience
      check(kilobytes(m) < limit, "no more than \#{limit} kB: \#{kilobytes(m)} kB")
    end
  RUBY

  it "is little for partitions that are idle, however many" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      #{prelude}
      m = spiking_manager
      60.times { |partition| spike(m, partition, (0...9_000).to_a) }
      comes_back(m, 3_000)
      expect_intact(m)
      passed
    RUBY
  end

  it "is little for idle partitions while another is busy" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      #{prelude}
      held = Queue.new
      m = manager(work: ->(message, *) { (message == :held ? held : gate).pop if message }, ack: ->(*) { true }, acks: :latest,
                  concurrency: 3, max_in_queue: 1_000_000, max_in_flight: 1_000_000)
      m.enqueue(:held, :held, :busy, 0)
      60.times do |partition|
        @gate = Queue.new
        9_000.times { |offset| m.enqueue(offset.zero? ? :head : offset % 100, offset.zero?, partition, offset) }
        @gate.close
        wait_until("acked") { m.stats[:in_flight] == 1 }
      end
      comes_back(m, 3_000)
      held.close
      expect_intact(m)
      passed
    RUBY
  end

  { "in order" => "(0...100_000).to_a",
    "late, out of order" => "[100_000] + (0...100_000).to_a.reverse",
    "shuffled" => "(0...100_000).to_a.shuffle(random: Random.new(1))" }.each do |what, offsets|
    it "is little once one more message of the same partition has come, after a spike #{what}" do
      expect_child_to_pass(<<~RUBY, limit: 60)
        #{prelude}
        m = spiking_manager
        before = kilobytes(m)
        spike(m, 0, #{offsets}) { check(@peak > before + 1_000, "a spike is seen: \#{@peak} kB") }
        m.enqueue(:key, nil, 0, 200_000)
        same(true, m.drain(timeout: 5), "drain")
        comes_back(m, before + 700)
        expect_intact(m)
        passed
      RUBY
    end

    it "is little although a message is always in flight, after a spike #{what}" do
      expect_child_to_pass(<<~RUBY, limit: 60)
        #{prelude}
        held = Array.new(50) { Queue.new }
        m = manager(work: ->(message, *) { (message.is_a?(Integer) ? held[message] : gate).pop if message }, ack: ->(*) { true },
                    acks: :latest, concurrency: 3, max_in_queue: 1_000_000, max_in_flight: 1_000_000)
        before = kilobytes(m)
        @gate = Queue.new
        offsets = #{offsets}
        m.enqueue(:head, true, 0, offsets.first)
        offsets.drop(1).each { |offset| m.enqueue(offset % 100, nil, 0, offset) }
        m.enqueue([:held, 0], 0, 0, 200_000)
        @gate.close
        wait_until("all but one", 20) { m.stats[:in_flight] == 1 }
        # One comes before the last goes.
        (1...50).each do |n|
          m.enqueue([:held, n], n, 0, 200_000 + n)
          wait_until("two at work") { m.stats[:running] == 2 }
          held[n - 1].close
          wait_until("one at work") { m.stats[:in_flight] == 1 }
        end
        comes_back(m, before + 700)
        held.last.close
        expect_intact(m)
        passed
      RUBY
    end
  end

  it "is little when a hundred thousand sub keys have come and gone" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      #{prelude}
      m = spiking_manager
      before = kilobytes(m)
      spike(m, 0, (0...100_000).to_a, keys: 100_000, all_wait: true) { check(kilobytes(m) > before + 5_000, "a spike is seen") }
      comes_back(m, before + 1_500)
      expect_intact(m)
      passed
    RUBY
  end

  it "is little when what waited was revoked" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      #{prelude}
      m = spiking_manager
      before = kilobytes(m)
      10.times do |partition|
        spike(m, partition, (0...20_000).to_a) { m.revoke(partition) }
      end
      comes_back(m, before + 1_500)
      expect_intact(m)
      passed
    RUBY
  end
end
