# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::LoadTest do
  it "counts latency from the intended start, so that a stall shows in all that it delayed" do
    door = Mutex.new
    report = described_class.run(rate: 200, duration: 3, concurrency: 50) do |number|
      door.synchronize { sleep(1) if number == 100 }
    end
    # Those that came in the second after number 100 waited for the rest of it: 200 of 600, from 1 s down to 0.
    expect(report.finished).to eq(600)
    expect(report.max).to be >= 1 # a machine that is busy adds to it, and to all that follows
    expect([90, 99].map { |percent| report.latency(percent) }).to match([be >= 0.69, be >= 0.96])
    expect(report.latency(50)).to be < report.latency(90) / 2
    expect(report.late_starts).to be_between(100, 600) # of 50 threads at the door, the others could not even start
    expect(report.throughput).to be_between(100, 201)
    expect(report.to_s).to include("open model at 200 /s")
  end

  it "hides a stall in a closed model, and says so" do
    report = eventually do
      made = described_class.run(rate: nil, duration: 0.5, concurrency: 2) { |n| sleep(n == 10 ? 0.2 : 0.002) }
      made if made.finished > 20 # else the machine stood still
    end
    expect(report.latency(50)).to be < 0.1
    expect(report.max).to be >= 0.2
    expect(report).to have_attributes(rate: nil, late_starts: 0)
    expect(report.to_s).to include("closed model")
  end

  it "gives every number once, from 0, and counts errors by class" do
    numbers = Queue.new
    report = described_class.run(rate: 1_000, duration: 0.3, concurrency: 4) do |number|
      numbers << number
      raise KeyError if number == 7
      raise NotImplementedError if number > 297
    end
    expect(Array.new(numbers.size) { numbers.pop }).to match_array(0...300)
    expect(report.errors).to eq("KeyError" => 1, "NotImplementedError" => 2)
    expect(report.finished).to eq(300)
  end

  it "refuses what it cannot do" do
    { rate: [0, -1, Float::NAN, Float::INFINITY], duration: [0, -1, Float::NAN] }.each do |name, values|
      values.each do |value|
        words = { rate: 1, duration: 1, name => value }
        expect { described_class.run(**words) { nil } }
          .to raise_error(ArgumentError, /#{name} is/)
      end
    end
    expect { described_class.run(rate: "1", duration: 1) { nil } }.to raise_error(TypeError, /rate is "1"/)
    expect { described_class.run(rate: 1, duration: nil) { nil } }.to raise_error(TypeError, /duration is nil/)
    expect { described_class.run(rate: 1, duration: 1, concurrency: 0) { nil } }.to raise_error(ArgumentError)
    expect { described_class.run(rate: 1, duration: 1) }.to raise_error(ArgumentError, /block/)
  end
end
