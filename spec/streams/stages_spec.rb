# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Stream, "in stages" do
  it "gives the results of the last in the order of the first's inputs" do
    stream = WorkShaper.stream(1..300, concurrency: 4) { |n| sleep(rand * 0.001) && n }
                       .stage(concurrency: 3) { |n| sleep(rand * 0.001) && (n * 2) }
                       .stage(concurrency: 2, max_in_flight: 2, &:to_s)
    expect(stream.to_a).to eq((1..300).map { |n| (n * 2).to_s })
  end

  it "hands over by the workers, while the reader is busy" do
    done = Queue.new
    first = described_class.new(concurrency: 1, max_in_flight: 9) { |n| n }
    last = first.stage(concurrency: 1, max_in_flight: 9) { |n| (done << n) && n }
    6.times { |n| first << n }
    eventually { done.size == 6 } # nobody reads, and all comes through
    first.close
    expect(last.to_a).to eq([*0...6])
  end

  it "holds back the stage before a full one, up to the source" do
    read = 0
    source = Enumerator.new { |inputs| loop { inputs << (read += 1) } }
    gate = Queue.new
    stream = WorkShaper.stream(source, concurrency: 1, max_in_flight: 2, &:itself)
                       .stage(concurrency: 1, max_in_flight: 3) { |n| gate.pop || n }
    reader = Thread.new { stream.first(4) }
    eventually { gate.num_waiting == 1 && reader.status == "sleep" }
    expect(read).to be <= 6
    gate.close
    expect(reader.value).to eq([1, 2, 3, 4])
  end

  it "ends all with the one error of any stage, once what is before it has come out" do
    3.times do |failing|
      results = []
      stages = Array.new(3) { |stage| ->(n) { stage == failing && n == 50 ? raise(IOError, "stage #{stage}") : n } }
      stream = WorkShaper.stream(1..100, concurrency: 3, &stages[0]).stage(concurrency: 3, &stages[1])
                         .stage(concurrency: 3, &stages[2])
      expect { stream.each { |n| results << n } }.to raise_error(IOError, "stage #{failing}")
      expect(results).to eq([*1..49])
    end
  end

  it "raises what the source raised, and what was collected in any stage" do
    source = Enumerator.new { |inputs| 5.times { |n| inputs << n } && raise(KeyError, "the source's") }
    expect { WorkShaper.stream(source, &:itself).stage(&:itself).to_a }.to raise_error(KeyError, "the source's")
    odd = ->(n) { n.odd? ? raise("odd") : n }
    big = ->(n) { n > 6 ? raise("big") : n }
    results = []
    stream = WorkShaper.stream(1..8, give_up: :collect, &odd).stage(give_up: :collect, &big)
    expect { stream.each { |n| results << n } }.to raise_error(WorkShaper::Failures) { |error|
      expect(error.map(&:input)).to contain_exactly(1, 3, 5, 7, 8)
    }
    expect(results).to eq([2, 4, 6])
  end

  it "is cancelled as a whole, from any stage" do
    2.times do |which|
      first = WorkShaper.stream(1..100, concurrency: 2, &:itself)
      second = first.stage(concurrency: 2) { |n| n == 20 ? [first, second][which].cancel : n }
      expect { second.to_a }.to raise_error(WorkShaper::Cancelled)
    end
  end

  it "may begin with pushes" do
    first = described_class.new(concurrency: 2) { |n| n + 1 }
    second = first.stage(concurrency: 2, key: ->(n) { n % 2 }) { |n| n * 10 }
    reader = Thread.new { second.to_a }
    20.times { |n| first << n }
    first.close
    expect(reader.value).to eq((1..20).map { |n| n * 10 })
  end

  it "puts what a stage's key raises where its input was" do
    results = []
    stream = WorkShaper.stream(1..5, &:itself).stage(key: ->(n) { n == 3 ? raise(KeyError, "no key") : n }, &:itself)
    expect { stream.each { |n| results << n } }.to raise_error(KeyError, "no key")
    expect(results).to eq([1, 2])
  end

  it "collects an input whose thread was killed in a stage's key, and goes on" do
    results = []
    key = ->(n) { n == 3 ? Thread.current.kill : n }
    stream = WorkShaper.stream(1..5, &:itself).stage(key: key, give_up: :collect, &:itself)
    expect { stream.each { |n| results << n } }.to raise_error(WorkShaper::Failures) { |failures|
      expect(failures.map { |row| [row.index, row.input, row.error.message] }).to match([[2, 3, /killed/]])
    }
    expect(results).to eq([1, 2, 4, 5])
  end
end
