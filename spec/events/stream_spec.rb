# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Stream, "whose events somebody listens to" do
  before { events }

  it "tells of each attempt by input and index, of failures, retries and what is given up" do
    failures = [IOError.new("once")]
    results = WorkShaper.map(%w[good ill bad], concurrency: 1, attempts: 2, wait: 0.001, give_up: :skip) do |input|
      (failed = failures.shift if input == "ill") && raise(failed)
      raise IOError, "always" if input == "bad"

      input.upcase
    end
    expect(results).to eq(%w[GOOD ILL])
    events_of(:give_up) # the last of all
    done = events_of(:attempt, 5).select { |payload| payload[:outcome] == :done }
    expect(done).to match([include(input: "good", index: 0, attempt: 1, duration: Float, queue_time: Float),
                           include(input: "ill", index: 1, attempt: 2)])
    expect(events.of(:failure).map { |payload| payload.values_at(:input, :index, :attempt) })
      .to contain_exactly(["ill", 1, 1], ["bad", 2, 1], ["bad", 2, 2])
    expect(events.of(:retry).size).to eq(2)
    expect(events.of(:give_up)).to match([include(input: "bad", attempt: 2, action: :skip,
                                                  error: an_instance_of(IOError))])
  end

  it "tells of no attempt where nobody waited for the result any more" do
    gate = self.gate
    stream = described_class.new(concurrency: 1, interrupt: false) { |input| gate.pass if input == 1 }
    3.times { |input| stream << input }
    expect(events_of(:attempt).first).to include(input: 0)
    eventually { gate.waiting == 1 }
    stream.cancel
    gate.open
    expect { stream.each { nil } }.to raise_error(WorkShaper::Cancelled)
    eventually { manager_threads.none? { |thread| thread.name.include?("worker") } }
    events_of(:attempt, 2)
    expect(events.of(:attempt).map { |payload| payload[:input] }).to eq([0, 1])
  end

  it "hears of whoever listens only after a stream was made" do
    WorkShaper.instrumenter = nil
    stream = described_class.new { |input| input }
    results = []
    stream.push(0) { |result| results << result }
    WorkShaper.instrumenter = events
    eventually do
      stream.push(1) { |result| results << result }
      events.of(:attempt).any?
    end
    results.concat(stream.close.to_a)
    expect([results.first, results.drop(1).uniq]).to eq([0, [1]])
  end
end
