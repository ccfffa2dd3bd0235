# frozen_string_literal: true

require "spec_helper"
require "work_shaper/testing"

RSpec.describe WorkShaper::Testing, ".consume" do
  it "works on the calling thread, starts none, and connects to nothing" do
    threads = []
    consumer = tested(timeout: 5) { threads << Thread.current }
    before = Thread.list
    result = testing.consume(consumer, messages("a1", "b1"))
    expect(threads).to eq([Thread.current] * 2)
    expect(Thread.list - before).to be_empty
    expect(result.acknowledged).to eq("orders/0" => 2)
    expect(consumer.stats).to be_empty
  end

  it "gives what the seed says, and the seed: the same again, another order with another one" do
    all = messages(*%w[a1 b1 c1 a2 b2 c2 a3 b3 c3])
    result = testing.consume(tested, all)
    again = testing.consume(tested, all, seed: result.seed)
    expect([again.seed, again.worked.map(&:inspect)]).to eq([result.seed, result.worked.map(&:inspect)])
    orders = Array.new(30) { |seed| done(testing.consume(tested, all, seed: seed)) }
    expect(orders.uniq.size).to be > 20
    orders.each do |order|
      of_keys = order.group_by { |payload| payload[0] }.values
      expect(of_keys).to contain_exactly(%w[a1 a2 a3], %w[b1 b2 b3], %w[c1 c2 c3])
    end
  end

  it "gives every order that workers may end in, and with one worker that of the messages" do
    orders = Array.new(200) { |seed| done(testing.consume(tested, messages("a1", "b1", "c1"), seed: seed)) }
    expect(orders.tally.keys).to match_array(%w[a1 b1 c1].permutation.to_a)
    one = Array.new(20) { |seed| done(testing.consume(tested(concurrency: 1), messages("a1", "b1", "c1"), seed: seed)) }
    expect(one.uniq).to eq([%w[a1 b1 c1]])
    two = Array.new(200) do |seed|
      done(testing.consume(tested(concurrency: 2), messages("a1", "b1", "c1"), seed: seed))
    end
    expect(two.uniq).to contain_exactly(%w[a1 b1 c1], %w[a1 c1 b1], %w[b1 a1 c1], %w[b1 c1 a1])
  end

  it "takes partitions in any order, and each in its own" do
    all = messages("a1", "a2", partition: 0) + messages("a3", "a4", partition: 1)
    orders = Array.new(100) { |seed| done(testing.consume(tested, all, seed: seed)) }
    expect(orders.uniq.size).to eq(6)
    expect(orders.map { |order| order - %w[a3 a4] }.uniq).to eq([%w[a1 a2]])
    expect(testing.consume(tested, all).acknowledged).to eq("orders/0" => 2, "orders/1" => 2)
  end

  it "takes the seed from the environment" do
    ENV["WORK_SHAPER_SEED"] = "42"
    expect(testing.consume(tested, messages("a1")).seed).to eq(42)
    ENV["WORK_SHAPER_SEED"] = "many"
    expect { testing.consume(tested, []) }.to raise_error(ArgumentError, /WORK_SHAPER_SEED is "many"/)
  ensure
    ENV.delete("WORK_SHAPER_SEED")
  end

  describe "when work fails" do
    # Fails so many times.
    def failing(times, error: IOError)
      left = times.dup
      lambda do |message|
        next unless left[message.payload].to_i.positive?

        left[message.payload] -= 1
        raise error, "broken #{message.payload}"
      end
    end

    it "tries again with the consumer's waits, which pass at once, the later ones of its key behind it" do
      clock = testing::Clock.new(Time.utc(2026))
      result = testing.consume(tested(wait: 1..60, jitter: 0, &failing({ "a1" => 8 })), messages("a1", "a2"),
                               clock: clock)
      expect(tries(result)).to eq([*(1..8).map do |attempt|
        ["a1", attempt, :retried]
      end, ["a1", 9, :done], ["a2", 1, :done]])
      expect(result.retried.map(&:wait)).to eq([1, 2, 4, 8, 16, 32, 60, 60])
      expect(clock.now).to eq(Time.utc(2026) + 183)
      expect(result.log.count { |line| line[:message] == "Error processing" }).to eq(8)
    end

    it "lets other keys go on meanwhile, before or after it is tried again" do
      orders = Array.new(100) do |seed|
        done(testing.consume(tested(&failing({ "a1" => 1 })), messages("a1", "a2", "b1", "b2"), seed: seed))
      end
      all = %w[a1 a2 b1 b2].permutation.select do |order|
        [order - %w[a1 a2], order - %w[b1 b2]] == [%w[b1 b2], %w[a1 a2]]
      end
      expect(orders.uniq).to match_array(all)
    end

    it "tells the message and WorkShaper.current the attempt, and on_error what failed" do
      told = []
      seen = []
      consumer = tested(on_error: ->(*arguments) { told << arguments }) do |message|
        current = WorkShaper.current
        seen << [message.attempt, message.retry?, current.attempt, current.sub_key, current.partition, current.offset,
                 current.stopping?]
        raise "broken" if message.attempt < 3
      end
      result = testing.consume(consumer, messages("a1"))
      expect(seen).to eq((1..3).map { |attempt| [attempt, attempt > 1, attempt, "a", "orders/0", 0, false] })
      expect(told.map do |error, message, *place|
        [error.message, message.payload, *place]
      end).to eq([["broken", "a1", 0, 0]] * 2)
      expect(WorkShaper.current).to be_nil
      expect(result.log).to be_empty
    end

    it "dead-letters with the headers of production" do
      clock = testing::Clock.new(Time.utc(2026, 1, 2))
      given = messages("a1", headers: { "trace" => "t" }, timestamp: Time.utc(2026))
      result = testing.consume(tested(attempts: 2, wait: 10, jitter: 0, give_up: "dead", &failing({ "a1" => 9 })),
                               given, clock: clock)
      letter = result.dead_letters.first
      expect(letter).to have_attributes(topic: "dead", partition: 0, offset: 0, payload: "a1", key: "a",
                                        timestamp: Time.utc(2026))
      expect(letter.headers).to include(
        "trace" => "t", "__dlq.errors.topic" => "orders", "__dlq.errors.partition" => "0", "__dlq.errors.offset" => "0",
        "__dlq.errors.group" => "specs", "__dlq.errors.delivery.count" => "2", "__dlq.errors.message" => "broken a1",
        "__dlq.errors.exception.class" => "IOError",
        "__dlq.errors.failed.at" => (1000 * (Time.utc(2026, 1, 2).to_i + 10)).to_s
      )
      expect(result.worked.last).to have_attributes(outcome: :dead_lettered, topic: "dead", error: be_an(IOError))
      expect(result.log.last).to include(level: :warn, message: "Dead-lettered", topic: "dead")
      expect(result.acknowledged).to eq("orders/0" => 1)
    end

    it "gives dead letters that the next consumer can be given" do
      first = testing.consume(tested(attempts: 1, give_up: "retries", &failing({ "a1" => 1, "b1" => 1 })),
                              messages("a1", "b1", "a2"))
      second = testing.consume(tested(topics: "retries"), first.dead_letters)
      expect(done(second)).to match_array(%w[a1 b1])
    end

    it "asks rules, skips and leaves to a callable, as the policy says" do
      errors = { "a" => KeyError, "b" => ArgumentError, "c" => TypeError }
      given_up = []
      callable = lambda do |failure|
        given_up << [failure, failure.attempts, failure.first_failed_at]
        nil
      end
      rules = { KeyError => :skip, ArgumentError => "dead", TypeError => { attempts: 2, give_up: callable } }
      clock = testing::Clock.new(Time.utc(2026))
      consumer = tested(rules: rules) { |message| errors.key?(message.key) && raise(errors[message.key], "no") }
      result = testing.consume(consumer, messages("a1", "b1", "c1", "d1"), clock: clock)
      expect(tries(result)).to contain_exactly(["a1", 1, :skipped], ["b1", 1, :dead_lettered], ["c1", 1, :retried],
                                               ["c1", 2, :given_up], ["d1", 1, :done])
      expect(given_up).to match([[be_a(WorkShaper::Failure), 2, Time.utc(2026)]])
      expect(result.log.map { |line| line[:message] }).to include("Skipped", "Dead-lettered")
      expect(result.acknowledged).to eq("orders/0" => 4)
    end

    it "runs a callable inside around, and calls it again when it raises" do
      inside = nil
      calls = []
      around = lambda do |message, &work|
        inside = message.payload
        work.call
      ensure
        inside = nil
      end
      give_up = lambda do |_failure|
        calls << inside
        raise "no table" if calls.size < 3

        :skip
      end
      result = testing.consume(tested(attempts: 1, give_up: give_up, around: around) { raise "bad" }, messages("a1"))
      expect(calls).to eq(["a1"] * 3)
      expect(result.log.filter_map { |line| line[:tries] }).to eq([1, 2])
      expect(tries(result)).to eq([["a1", 1, :skipped]])
    end

    it "raises GaveUp for :stop; what is finished is committed, nothing behind it" do
      20.times do |seed|
        session = nil
        expect do
          testing.session(tested(attempts: 2, give_up: :stop, &failing({ "b1" => 2 })), seed: seed) do |made|
            session = made
            session.deliver(messages("a1", "b1", "b2", "a2"))
            session.work
          end
        end.to raise_error(WorkShaper::GaveUp, %r{gave up orders/0 offset 1 after 2 attempts: IOError: broken})
        expect(session).not_to be_running
        expect(done(session.result)).not_to include("b2")
        expect(session.result.worked.map(&:outcome)).to include(:stopped)
        expect(session.result.acknowledged).to eq("orders/0" => 1)
      end
    end

    it "raises an Error after 1,000 tries that never end, which names the message, the seed and the cause" do
      error = begin
        testing.consume(tested { raise IOError, "down" }, messages("a1"), seed: 7)
      rescue WorkShaper::Error => e
        e
      end
      expect(error.message).to eq("orders/0/0 was tried 1000 times, and is to be tried again (seed 7): IOError: down")
      expect(error.cause).to be_an(IOError)
    end

    it "does so, too, for a callable that always raises and for an open breaker" do
      consumer = tested(attempts: 1, give_up: ->(_failure) { raise "no table" }) { raise "bad" }
      expect { testing.consume(consumer, messages("a1")) }.to raise_error(WorkShaper::Error, /tried 1000 times/)
      consumer = tested(attempts: 900, give_up: :skip, breaker: { of: 5 }) { raise "down" }
      expect { testing.consume(consumer, messages(*("a".."f"))) }.to raise_error(WorkShaper::Error, /tried 1000 times/)
    end

    it "opens the breaker, which excuses tries and probes, as the consumer does" do
      20.times do |seed|
        clock = testing::Clock.new(Time.utc(2026))
        down = Time.utc(2026) + 600
        consumer = tested(attempts: 6, give_up: "dead", wait: 1, breaker: { of: 10, wait: 30..60 }) do
          raise "down" if clock.now < down
        end
        result = testing.consume(consumer, messages(*("a".."t")), clock: clock, seed: seed)
        expect(result.log.map { |line| line[:message] }).to include("Breaker opened", "Breaker closed")
        expect(result.dead_letters).to be_empty
        expect(result.acknowledged).to eq("orders/0" => 20)
        closed = result.log.find { |line| line[:message] == "Breaker closed" }
        expect(closed).to include(open_for_sec: be > 500)
        # Those that ran when it opened, and a probe after 30, 60, 60 ... seconds.
        expect(result.retried.size).to be_between(10 + 10, 25 + 11)
      end
    end

    it "probes the oldest first, of another key each time, and round again" do
      20.times do |seed|
        clock = testing::Clock.new(Time.utc(2026))
        tried = []
        consumer = tested(concurrency: 1, wait: 1, breaker: { of: 5, wait: 30 }) do |message|
          tried << [message.payload, clock.now]
          raise "down" if tried.size < 60
        end
        testing.consume(consumer, messages(*("a".."i")), clock: clock, seed: seed)
        probes = tried.each_cons(2).filter_map { |(_, before), (payload, now)| payload if now - before >= 30 }
        expect(probes.size).to be > 10
        expect(probes).to eq(probes.uniq.sort.cycle.first(probes.size))
      end
    end

    it "asks a sub key that raised again at each try, without order, as the consumer does" do
      asked = Hash.new(0)
      sub_key = lambda do |message|
        asked[message.payload] += 1
        raise KeyError, "no customer" if message.key == "b" && asked[message.payload] < 3

        message.key
      end
      result = testing.consume(tested(sub_key: sub_key), messages("a1", "b1"))
      expect(tries(result).select do |payload, *|
        payload == "b1"
      end).to eq([["b1", 1, :retried], ["b1", 2, :retried], ["b1", 3, :done]])
      expect(result.worked.map(&:sub_key)).to include("a", nil)
      expect(asked).to eq("a1" => 1, "b1" => 3)
    end
  end

  describe "with a timeout" do
    it "raises it where the clock is moved beyond it, once, and a try that took it is a failure" do
      clock = testing::Clock.new
      remaining = []
      consumer = tested(timeout: 30, attempts: 2, give_up: :skip) do
        clock.advance(20)
        remaining << WorkShaper.current.remaining
        clock.advance(20)
      end
      result = testing.consume(consumer, messages("a1"), clock: clock)
      expect(remaining).to eq([10, 10])
      expect(result.worked.map(&:error)).to all(be_a(WorkShaper::Timeout))
      expect(result.worked.map(&:outcome)).to eq(%i[retried skipped])
    end

    it "lets the work rescue it, and does not reach beyond the block" do
      clock = testing::Clock.new
      around = lambda do |_message, &work|
        work.call
        clock.advance(60)
      end
      consumer = tested(timeout: 30, around: around) do
        clock.advance(40)
      rescue WorkShaper::Timeout
        clock.advance(40)
      end
      expect(testing.consume(consumer, messages("a1"), clock: clock).worked.map(&:outcome)).to eq([:done])
    end
  end

  describe "with crashes" do
    it "has each message worked on twice at least, in order within its key from where it goes on" do
      30.times do |seed|
        result = testing.consume(tested, messages("a1", "b1", "a2", "a3", "b2"), crash: :after_each, seed: seed)
        expect(done(result).tally.values).to all(be >= 2)
        expect(result.acknowledged).to eq("orders/0" => 5)
        numbers = done(result).grep(/a/).map { |payload| payload[1].to_i }
        expect(numbers.each_cons(2)).to all(satisfy { |one, other| other <= one + 1 })
      end
    end

    it "goes back further with some seeds than with others" do
      counts = Array.new(30) do |seed|
        testing.consume(tested, messages("a1", "a2", "a3"), crash: :after_each, seed: seed).worked.size
      end
      expect(counts.min).to eq(6)
      expect(counts.max).to be > 7
    end

    it "crashes after the messages that are named, by offset or id" do
      all = messages("a1", "a2", "a3") + messages("b1", "b2", partition: 1)
      expect(done(testing.consume(tested, all, crash: [1])).tally).to include("a2" => be >= 2, "b2" => be >= 2)
      expect(done(testing.consume(tested, all, crash: ["orders/1/1"])).tally).to include("b2" => be >= 2)
      expect(done(testing.consume(tested, all, crash: [])).tally.values).to eq([1] * 5)
    end

    it "begins attempts at 1 again, sends dead letters again, and gives messages that nobody has changed" do
      payloads = []
      consumer = tested(attempts: 2, give_up: "dead") do |message|
        payloads << message.payload.dup
        message.payload << "changed"
        raise "bad"
      end
      result = testing.consume(consumer, messages("a1"), crash: :after_each)
      expect(result.worked.map(&:attempt)).to eq([1, 2, 1, 2])
      expect(payloads).to eq(%w[a1 a1changed a1 a1changed])
      expect(result.dead_letters.map(&:offset)).to eq([0, 1])
    end
  end

  describe "at the door" do
    it "refuses what is no consumer, or one that runs" do
      expect { testing.consume(:consumer, []) }.to raise_error(TypeError, /consumer is :consumer; it must be a WorkShaper::Consumer/)
      running = tested
      allow(running).to receive(:running?).and_return(true)
      expect { testing.consume(running, []) }.to raise_error(WorkShaper::Error, /runs already/)
    end

    it "refuses what is no message" do
      expect { testing.consume(tested, "a") }.to raise_error(TypeError, /messages is "a"; it must be an Array/)
      expect { testing.consume(tested, [7]) }.to raise_error(TypeError, /messages has 7/)
      expect do
        testing.consume(tested,
                        [{ value: "a" }])
      end.to raise_error(ArgumentError, /unknown keyword: :value; the fields of a message are topic/)
      expect { testing.consume(tested, [{ payload: 7 }]) }.to raise_error(TypeError, /payload must be a String or nil/)
      expect { testing.message("a", value: 1) }.to raise_error(ArgumentError, /unknown keyword: :value/)
    end

    it "refuses topics that are not consumed, and wants one where it cannot tell" do
      expect do
        testing.consume(tested,
                        [{ topic: "payments" }])
      end.to raise_error(ArgumentError, /topic "payments", which the consumer does not consume; it has orders/)
      expect { testing.consume(tested(topics: %w[a b]), [{}]) }.to raise_error(ArgumentError, /has no topic/)
      expect { testing.consume(tested(topics: "^orders"), [{}]) }.to raise_error(ArgumentError, /has no topic/)
      expect(testing.consume(tested(topics: "^orders"),
                             [{ topic: "orders-eu" }]).acknowledged).to eq("orders-eu/0" => 1)
    end

    it "refuses offsets that do not grow; takes gaps" do
      expect do
        testing.consume(tested,
                        [{ offset: 5 }, { offset: 5 }])
      end.to raise_error(ArgumentError, %r{orders/0 has the offset 5, which is not above 5})
      expect(testing.consume(tested, [{ offset: 5 }, { offset: 9 }, {}]).acknowledged).to eq("orders/0" => 11)
    end

    it "refuses other crashes, seeds and clocks" do
      expect do
        testing.consume(tested, [],
                        crash: :sometimes)
      end.to raise_error(TypeError, /crash is :sometimes; it must be :after_each/)
      expect { testing.consume(tested, [{}], crash: [3]) }.to raise_error(ArgumentError, /crash has 3.*no such message/)
      expect { testing.consume(tested, [{}], crash: [nil]) }.to raise_error(TypeError, /crash has nil/)
      expect do
        testing.consume(tested, [], seed: "7")
      end.to raise_error(ArgumentError, /seed is "7"; it must be an Integer/)
      expect { testing.consume(tested, [], clock: Time.now) }.to raise_error(TypeError, /clock is/)
    end

    it "refuses a clock that goes back, or is set to no time" do
      clock = testing::Clock.new(Time.utc(2026))
      expect { clock.now = Time.utc(2025) }.to raise_error(ArgumentError, /never goes back/)
      expect { clock.now = 7 }.to raise_error(TypeError, /must be a Time/)
      expect { clock.advance("7") }.to raise_error(TypeError, /seconds is "7"/)
      expect { clock.advance(-1) }.to raise_error(ArgumentError, /never goes back/)
      expect(clock.advance(1.5)).to eq(Time.utc(2026) + 1.5)
    end
  end
end
