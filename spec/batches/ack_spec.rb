# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Batches, "#process with ack:" do
  let(:first) { lambda(&:first) }
  let(:one_key) { ->(_) { :one } }

  it "tells on the calling thread how far it is, never beyond what is unfinished, and finally of everything" do
    gates = gates_by_name
    told = []
    shaper = noting(concurrency: 10) { |message| gates[message].pass }
    caller = in_thread do
      shaper.process((0..9).to_a, sub_key: nil, ack: ->(message) { told << [message, Thread.current] })
    end
    eventually { calls.started.size == 10 }
    [2, 0, 1].each { |message| gates[message].open }
    eventually { told.map(&:first).last == 2 }
    [9, 4].each { |message| gates[message].open }
    eventually { calls.worked.size == 5 }
    expect(told.map(&:first).last).to eq(2)
    gates.open
    value_of(caller)

    expect(told.map(&:first).last).to eq(9)
    expect(told.map(&:first)).to eq(told.map(&:first).uniq.sort)
    expect(told.map(&:last)).to all(be(caller))
  end

  it "tells once at the end when the batch was faster than it looks" do
    told = []
    shaper = noting(concurrency: 1)
    2.times { bounded { shaper.process([1, 2, 3], sub_key: one_key, ack: ->(message) { told << message }) } }
    expect(told.last(1)).to eq([3])
    expect(told.size).to be_between(2, 6)
  end

  it "tells while a batch larger than max_in_flight is still taken in" do
    told = []
    manager = nil
    shaper = noting(max_in_flight: 5, concurrency: 1) do |message|
      eventually { manager.total_acked.positive? } if message == 100 # the acknowledger may not have begun
      raise IOError if message == 900 && told.empty?
    end
    manager = shaper.instance_variable_get(:@manager)
    bounded { shaper.process((0...1_000).to_a, sub_key: one_key, ack: ->(message) { told << message }) }
    expect(told.last).to eq(999)
  end

  it "tells of what lies before the first that failed or was left out, before it raises" do
    told = []
    shaper = noting(concurrency: 1) { |key, number| raise IOError, "no" if [key, number] == [1, 2] }
    ack = ->(message) { told << message }
    expect { shaper.process(messages(keys: 3, each: 5), sub_key: first, ack: ack) }.to raise_error(IOError)
    expect(told.last).to eq([0, 2])
    expect(calls.worked).to include([2, 4])
  end

  it "tells nothing when the first message failed" do
    told = []
    shaper = noting { |message| raise IOError, "no" if message.zero? }
    expect { shaper.process([0, 1, 2], sub_key: nil, ack: ->(message) { told << message }) }
      .to raise_error(IOError)
    expect(told).to be_empty
  end

  it "gives the batch up when ack raises or breaks out" do
    held = gate
    shaper = noting(concurrency: 4) { |_, number| held.pass if number > 50 }
    one, two = %i[one two].map { |key| (0..99).map { |number| [key, number] } }
    expect { shaper.process(one, sub_key: first, ack: ->(_) { raise IOError, "no broker" }) }
      .to raise_error(IOError, "no broker")
    expect(catch(:out) { shaper.process(two, sub_key: first, ack: ->(_) { throw :out, 7 }) }).to eq(7)
    held.open
    expect(shaper.process([[:after, 0]], sub_key: first)).to be_nil
    settle(shaper)
    expect(calls.started.size).to be < 120
  end
end
