# frozen_string_literal: true

require "set"

# What a replay remembers of a partition, beside a set that remembers everything: replay after replay, each of which
# sends some of what is left and may end anywhere, nothing is sent twice and nothing is left out.
RSpec.describe "What a replay remembers of a partition" do
  let(:ledger_class) { CommandHelpers.inner(:Ledger) }
  let(:committed_class) { WorkShaper::Consumer.const_get(:OffsetList)::Committed }
  let(:random) { Random.new(RSpec.configuration.seed) }

  # A log with holes, as a compacted topic or one with transactions has them.
  def log(offsets, epoch: 3)
    offsets.map do |offset|
      WorkShaper::Message.new(topic: "dead", partition: 0, offset: offset, payload: "p#{offset}", key: "k",
                              timestamp: Time.at(offset), leader_epoch: epoch)
    end
  end

  # Reads from what is committed up to `stop` messages. Sends those for which the block is true; returns these.
  def replay(messages, row, log_end, stop: nil)
    ledger = ledger_class.new(row ? row.offset : 0, log_end, row)
    read = messages.select { |message| ledger.covers?(message) }
    sent = []
    read.first(stop || read.size).each do |message|
      before = ledger.sent?(message)
      sent << message.offset if !before && (now = yield(message))
      ledger.note(message, before || now)
    end
    expect(ledger).to be_fits
    ledger.finish unless stop
    [ledger, sent]
  end

  it "is exact, whatever was left, wherever it ended, and whatever offsets are missing" do
    100.times do
      offsets = (0...100).select { random.rand < 0.8 }
      messages = log(offsets)
      row = nil
      sent = []
      6.times do |round|
        share = [0.1, 0.5, 0.9].sample(random: random)
        stop = random.rand(messages.size) if round < 5 && random.rand < 0.6
        ledger, more = replay(messages, row, 100, stop: stop) { random.rand < share }
        # Stopped in the middle of what was sent before, it reads on, without sending, until there is an anchor.
        messages.each do |message|
          break unless ledger.open?
          next unless ledger.covers?(message)

          ledger.note(message, ledger.sent?(message))
        end
        sent += more
        row = ledger.row unless ledger.row == row
      end
      _, rest = replay(messages, row, 100) { true }
      expect((sent + rest).sort).to eq(offsets)
    end
  end

  it "repeats one letter, no more, after a kill while nothing is left before what was sent" do
    messages = log((0...20).to_a)
    ledger, first = replay(messages, nil, 20) { |message| message.offset >= 10 }
    killed, second = replay(messages, ledger.row, 20, stop: 5) { true }
    expect(killed).to be_open
    _, third = replay(messages, killed.row, 20) { true }
    expect([first, second, third]).to eq([(10...20).to_a, (0...5).to_a, (4...10).to_a])
  end

  it "believes nothing of another log: another message at the anchor, or a later leader" do
    ledger, = replay(log((0...20).to_a), nil, 20) { |message| message.offset.odd? }
    other = Array.new(20) { |offset| WorkShaper::Message.new(topic: "dead", partition: 0, offset: offset, payload: "x") }
    expect(replay(other, ledger.row, 20) { true }.last).to eq((0...20).to_a)
    later = log([0, 1, 2]) + log((3...20).to_a, epoch: 4)
    expect(replay(later, ledger.row, 20) { true }.last).to eq([0, 2, *3...20])
  end

  it "believes no metadata of somebody else, and none that is damaged" do
    ledger, = replay(log((0...20).to_a), nil, 20) { |message| message.offset.odd? }
    ["", "hello", ledger.row.metadata.reverse, "#{ledger.row.metadata}x", nil].each do |metadata|
      row = committed_class.new(0, metadata)
      expect(replay(log((0...20).to_a), row, 20) { true }.last).to eq((0...20).to_a)
    end
  end

  it "knows when it is too much to remember" do
    ledger = ledger_class.new(0, 100_000, nil)
    enough = (0...100_000).step(1_000).find do |first|
      log((first...(first + 1_000)).to_a).each { |message| ledger.note(message, random.rand < 0.5) }
      !ledger.fits?
    end
    expect(enough).to be_between(15_000, 40_000)
  end
end
