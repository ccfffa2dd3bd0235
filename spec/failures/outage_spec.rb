# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "while the world is ill" do
  let(:soon) { { share: 0.5, of: 20, wait: 0.05..0.1 } }
  let(:fed) { Queue.new } # closed once all are inside: alone the first would use up their attempts
  let(:ill) { Queue.new } # closed once all is well

  # Work that needs something which is down until the example says otherwise.
  def needy(bad: nil, **settings)
    work = lambda do |message, *|
      fed.pop
      sleep 0.001
      raise IOError, "it is down" unless ill.closed? && message != bad
    end
    manager(work: work, attempts: 3, wait: 0.01..0.05, give_up: :skip, breaker: soon, **settings)
  end

  # As many as the workers can have at a time, and more.
  def feed(shaper, count = 400)
    count.times { |number| shaper.enqueue(number % 40, number, 0, number) }
    fed.close
  end

  it "holds, gives nobody up, and goes on by itself when one probe succeeds" do
    shaper = needy(max_in_flight: 1000)
    feed(shaper)
    stats = eventually { shaper.stats.then { |now| now if now[:breaker][:probes] > 3 && now[:running].zero? } }
    expect(calls.started.size).to be < 100
    expect(stats[:total_skipped]).to eq(0)
    expect(stats[:breaker]).to include(state: :open, error: "IOError: it is down", opened: 1)
    ill.close
    drained(shaper)
    expect(calls.worked).to match_array(0...400)
    expect(shaper.stats).to include(total_skipped: 0, breaker: include(state: :closed))
    eventually { log.entries(/Breaker closed/).any? }
    expect(log.entries(/Breaker opened/, "WARN").size).to eq(1)
    expect(log.entries(/Breaker closed/, "INFO").size).to eq(1)
  end

  it "probes another sub key each time, so that one that fails for ever does not hold all others" do
    shaper = needy(bad: 0, max_in_flight: 1000)
    feed(shaper)
    eventually { shaper.stats[:breaker][:state] == :open }
    ill.close
    eventually { calls.worked.any? }
    drained(shaper)
    expect(calls.worked).to match_array(1...400)
    expect(shaper.stats[:total_skipped]).to eq(1)
  end

  it "probes what would be due first when everything waits for long" do
    shaper = needy(wait: 60, max_in_flight: 1000)
    feed(shaper, 10)
    eventually { shaper.stats[:breaker][:probes] > 2 }
    ill.close
    eventually { shaper.stats[:breaker][:state] == :closed }
    expect(calls.worked.size).to be_between(1, 3) # a probe that takes long is not waited for
    shaper.revoke(0)
  end

  it "probes nothing that is being given up: that waits for its own time" do
    asked = Queue.new
    rules = { KeyError => ->(_) { asked << 1 and raise "no table" } }
    work = lambda do |message, *|
      raise KeyError, "poison" if message.zero?
      raise IOError, "it is down" unless ill.closed?
    end
    shaper = manager(work: work, attempts: :unlimited, wait: 60, rules: rules, on_error: ->(*) {}, breaker: soon)
    11.times { |number| shaper.enqueue(number, number, 0, number) }
    eventually { shaper.stats[:breaker][:probes] > 2 && asked.size == 1 }
    ill.close
    eventually { shaper.stats[:breaker][:state] == :closed }
    expect(asked.size).to eq(1)
    shaper.revoke(0)
  end

  it "still counts what is held as waiting for its next try when the time of that has come" do
    shaper = needy(attempts: :unlimited, wait: 0.01, breaker: { share: 0.5, of: 5, wait: 60 })
    feed(shaper, 5)
    eventually { shaper.stats[:breaker][:state] == :open && shaper.stats[:running].zero? }
    sleep 0.1 # longer than their wait
    expect(shaper.stats).to include(retrying: 5, waiting: 5)
    shaper.revoke(0)
    expect(shaper.stats).to include(retrying: 0, waiting: 0)
  end

  it "is well again when work succeeds, whatever on_done makes of that" do
    shaper = needy(on_done: ->(*) { raise "on_done is broken" }, max_in_flight: 1000)
    feed(shaper)
    eventually { shaper.stats[:breaker][:state] == :open }
    ill.close
    drained(shaper)
    expect(shaper.stats[:breaker]).to include(state: :closed)
  end

  it "goes on giving up what is to be given up, for that is no work" do
    gate = self.gate
    given_up = []
    give_up = lambda do |failure|
      given_up << failure.message
      gate.pass
      raise "no table yet" if given_up.size < 3

      :skip
    end
    work = ->(message, *) { message == :doomed ? raise(KeyError, "doomed") : raise(IOError, "it is down") }
    shaper = manager(work: work, attempts: :unlimited, wait: 0.01..0.05, rules: { KeyError => give_up },
                     breaker: { share: 0.5, of: 20, wait: 30 }, max_in_flight: 1000)
    shaper.enqueue(:doomed, :doomed, 1, 0)
    eventually { gate.waiting == 1 }
    feed(shaper)
    eventually { shaper.stats[:breaker][:state] == :open }
    gate.open
    eventually { calls.acks(1) == [0] }
    expect(given_up).to eq(%i[doomed doomed doomed])
    expect(shaper.stats[:breaker]).to include(state: :open, probes: 0)
    shaper.revoke(0)
  end
end
