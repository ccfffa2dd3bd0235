# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "offset_commit_period_ms, the tick" do
  # Work goes on for so many seconds; returns how many seconds really went by until all was acknowledged.
  def work_for(seconds, shaper, partitions: 1)
    began = ManagerHelpers.now
    offset = 0
    while ManagerHelpers.now - began < seconds
      shaper.enqueue(offset % 50, nil, offset % partitions, offset)
      offset += 1
    end
    drained(shaper)
    ManagerHelpers.now - began
  end

  acks = { "gives up the GVL" => -> { sleep 0.005 }, "does no I/O" => -> {}, "passes" => -> { Thread.pass } }
  acks.each do |what, io|
    [1, 4].each do |partitions|
      it "is when acks: :latest calls ack, once for each of #{partitions} partitions, where ack #{what}" do
        tick = 0.2
        shaper = manager(acks: :latest, offset_commit_period_ms: 200, concurrency: 10, work: ->(*) { sleep 0.002 },
                         ack: ->(*) { io.call && nil })
        took = bounded { work_for(0.8, shaper, partitions: partitions) }

        partitions.times do |partition|
          # Begun at the start, and the drain hurries it at the end.
          expect(calls.acks(partition).size).to be_between(2, (took / tick) + 3)
        end
      end
    end
  end

  it "is when acks: :latest acknowledges all that is finished of each partition" do
    shaper = manager(acks: :latest, offset_commit_period_ms: 100, concurrency: 10, ack: ->(*) { sleep 0.002 })
    3.times do |round|
      40.times { |n| shaper.enqueue(n, nil, n % 4, (round * 40) + n) }
      settle(shaper)
      eventually { shaper.total_acked == (round + 1) * 40 }
    end
    4.times do |partition|
      expect(calls.acks(partition).last).to eq(116 + partition)
      expect(calls.acks(partition).size).to be <= 9
    end
  end

  it "lies between two passes of acks: :every, however slow ack is" do
    # Slower than the work, so there is always more to acknowledge.
    shaper = manager(acks: :every, offset_commit_period_ms: 100, concurrency: 10, max_in_queue: 2,
                     work: ->(*) { sleep 0.02 }, ack: ->(*) { sleep 0.003 })
    times = []
    calls.define_singleton_method(:note) do |kind, **fields|
      times << ManagerHelpers.now if kind == :ack
      super(kind, **fields)
    end
    bounded { work_for(2.5, shaper) }

    expect(times.each_cons(2).count { |one, other| other - one > 0.08 }).to be >= 2
  end
end
