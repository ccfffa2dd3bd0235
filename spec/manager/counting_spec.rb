# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "#stats, counted in C" do
  def enqueue(count, key: ->(n) { n % 10 })
    count.times { |n| shaper.enqueue(key.call(n), n, 0, shaper.total_enqueued) }
  end

  describe "durations" do
    def durations
      shaper.stats[:durations]
    end

    let(:shaper) { manager(work: ->(n, *) { sleep(0.3) if n == 5 }, concurrency: 3) }

    it "counts each attempt exactly, however short it was" do
      enqueue(5003)
      drained(shaper)
      expect(durations.transform_values(&:count)).to eq(queue: 5003, work: 5003)
      enqueue(1)
      drained(shaper)
      expect(durations.transform_values(&:count)).to eq(queue: 5004, work: 5004)
    end

    it "measures what takes long, each once, among others that take no time" do
      3.times { enqueue(100) }
      drained(shaper)
      expect(durations[:work].count).to eq(300)
      expect(durations[:work].percentile(50)).to be < 0.1
      expect(durations[:work].each.sum { |bound, count| bound >= 0.18 ? count : 0 }).to eq(3)
    end

    it "does not count what still runs" do
      gate = self.gate
      shaper = manager(work: ->(message, *) { gate.pass if message == :held }, concurrency: 1)
      20.times do |n|
        shaper.enqueue(:key, :free, 0, n)
        drained(shaper)
      end
      shaper.enqueue(:key, :held, 0, 20)
      eventually { gate.waiting == 1 }
      expect(shaper.stats[:durations].transform_values(&:count)).to eq(queue: 20, work: 20)
      gate.open
      drained(shaper)
      expect(shaper.stats[:durations].transform_values(&:count)).to eq(queue: 21, work: 21)
    end

    it "measures how long a message waited for its first attempt" do
      gate = self.gate
      shaper = manager(work: ->(message, *) { gate.pass if message == :held }, concurrency: 1)
      shaper.enqueue(:a, :held, 0, 0)
      shaper.enqueue(:b, :free, 0, 1)
      eventually { gate.waiting == 1 }
      let_pass(0.1)
      gate.open
      drained(shaper)
      expect(shaper.stats[:durations][:queue].max).to be_between(0.08, 30)
    end

    it "counts attempts that failed as work, and only first ones as having waited" do
      shaper = manager(work: ->(*) { raise IOError }, attempts: 3, wait: 0.001)
      4.times { |n| shaper.enqueue(n, n, 0, n) }
      drained(shaper)
      stats = shaper.stats
      expect(stats[:durations].transform_values(&:count)).to eq(queue: 4, work: 12)
      expect(stats).to include(total_attempts: 12, failures: { "IOError" => 12 })
    end
  end

  describe "failures" do
    it "counts a hundred classes, and the others as such" do
      kinds = Array.new(120) { |n| Class.new(StandardError) { define_singleton_method(:to_s) { "Kind#{n}" } } }
      shaper = manager(work: ->(n, *) { raise kinds[n % 120] }, concurrency: 1)
      240.times { |n| shaper.enqueue(:key, n, 0, n) }
      drained(shaper)
      failures = shaper.stats[:failures]
      expect(failures.size).to eq(101)
      expect(failures.values.sum).to eq(240)
      expect(failures).to include("other" => 40)
    end
  end

  describe "hot_keys" do
    it "names the ten sub keys on which most waits, the hottest first" do
      gate = self.gate
      shaper = manager(work: ->(*) { gate.pass }, concurrency: 1)
      shaper.enqueue(:running, 0, 0, 0)
      eventually { gate.waiting == 1 }
      15.times { |key| (15 - key).times { shaper.enqueue("key #{key}", 0, 0, shaper.total_enqueued) } }
      expect(shaper.stats[:hot_keys]).to eq(Array.new(10) { |key| { sub_key: "key #{key}", waiting: 15 - key } })
      gate.open
    end
  end

  describe "the oldest unfinished message" do
    it "has the attempt that it waits for, and no worker, while it waits" do
      shaper = manager(work: ->(*) { raise IOError }, attempts: 9, wait: 60, give_up: :skip)
      shaper.enqueue(:key, 0, 0, 0)
      row = -> { shaper.stats[:partitions][0] }
      eventually { shaper.stats[:retrying] == 1 }
      expect(row.call).to include(oldest_unfinished: 0, oldest_attempt: 2, oldest_worker: nil)
      expect(shaper.revoke(0).size).to eq(1)
    end
  end

  describe "rates" do
    it "tells how much came in and was tried in the last seconds" do
      shaper = manager
      rates = -> { shaper.stats[:rates] }
      began = ManagerHelpers.now
      until rates.call[:enqueued][:last_second].positive?
        shaper.enqueue(:key, 0, 0, shaper.total_enqueued)
        expect(ManagerHelpers.now - began).to be < 30
        sleep(0.001)
      end
      drained(shaper)
      most = shaper.total_enqueued
      expect(rates.call.values).to all(include(last_minute: a_value_between(1, most),
                                               last_15_minutes: a_value_between(1, most)))
      history = shaper.__send__(:rate_history, 1) # what Web draws
      expect(history.map(&:first)).to eq(history.map(&:first).sort.reverse)
      expect(history.map { |row| row[1] }.sum).to be_between(1, most)
      [0, 901].each { |period| expect { shaper.__send__(:rate_history, period) }.to raise_error(ArgumentError) }
    end
  end
end
