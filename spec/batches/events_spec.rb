# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Batches, "whose events somebody listens to" do
  before { events }

  it "tells of attempts and failures, not of messages that it left out" do
    batches = described_class.new(heartbeat_period_sec: 0) { |message| raise IOError, "disk" if message == :bad }
    keys = { good: 1, bad: 2, behind: 2 }
    expect { batches.process(keys.keys, sub_key: keys.method(:[])) }.to raise_error(IOError)
    expect(batches.shutdown(timeout: 10)).to be(true)
    expect(events.names).to contain_exactly(:attempt, :attempt, :failure, :stopping, :stopped)
    expect(events.of(:attempt).to_h { |payload| payload.values_at(:message, :outcome) })
      .to eq(good: :done, bad: :failed)
    expect(events.of(:failure)).to match([{ message: :bad, attempt: 1, error: an_instance_of(IOError) }])
  end
end
