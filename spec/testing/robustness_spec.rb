# frozen_string_literal: true

require "spec_helper"
require "timeout"
require "work_shaper/testing"

RSpec.describe WorkShaper::Testing, "with work that does its worst" do
  def raised
    yield
    nil
  rescue Exception => e # rubocop:disable Lint/RescueException
    e
  end

  # The session, whatever comes out of it.
  def wrecked(consumer, *payloads)
    session = nil
    error = raised do
      testing.session(consumer) do |made|
        session = made
        made.deliver(messages(*payloads))
        made.work
      end
    end
    [session, error]
  end

  { "exits" => SystemExit.new(7), "is interrupted" => Interrupt.new("INT"),
    "gets a signal" => SignalException.new("TERM"), "has no memory" => NoMemoryError.new }.each do |name, error|
    it "ends as a consumer does when it #{name}: nothing of the message is committed, and nothing behind it runs" do
      session, raised = wrecked(tested { |message| raise error if message.payload == "a2" }, "a1", "a2", "a3")
      expect(raised).to equal(error)
      expect(session).not_to be_running
      expect(tries(session.result)).to eq([["a1", 1, :done], ["a2", 1, :stopped]])
      expect(session.result.acknowledged).to eq("orders/0" => 1)
    end

    it "ends likewise when on_error, a callable give_up or the sub key #{name}" do
      failing = ->(_message) { raise "bad" }
      stop = ->(*) { raise error }
      [tested(on_error: stop, &failing), tested(attempts: 1, give_up: stop, &failing),
       tested(sub_key: stop)].each do |consumer|
        session, raised = wrecked(consumer, "a1")
        expect(raised).to equal(error)
        expect(session).not_to be_running
        expect(session.result.acknowledged).to eq({})
      end
    end
  end

  [Exception, NotImplementedError, SystemStackError, SecurityError, LoadError].each do |kind|
    it "takes #{kind} for a failure, as a consumer does" do
      result = testing.consume(tested(attempts: 2, give_up: :skip) { raise kind, "bad" }, messages("a1"))
      expect(tries(result)).to eq([["a1", 1, :retried], ["a1", 2, :skipped]])
    end
  end

  it "lets nobody leave by throw, break or return" do
    expect { catch(:away) { testing.consume(tested { throw :away }, messages("a1")) } }
      .to raise_error(WorkShaper::Error, %r{orders/0/0 was left by throw, break or return})
    expect { returns }.to raise_error(WorkShaper::Error, /was left by/)
    expect(tries(testing.consume(tested(attempts: 1, give_up: :skip) do
      throw :nobody
    end, messages("a1")))).to eq([["a1", 1, :skipped]])
  end

  def returns
    testing.consume(tested { return :passed }, messages("a1"))
  end

  it "lets a kill, and a timeout of the test, through" do
    ended = []
    thread = Thread.new do
      testing.consume(tested { Thread.current.kill }, messages("a1"))
    ensure
      ended << $ERROR_INFO
    end
    thread.join
    expect([ended, thread.status]).to eq([[nil], false])
    error = raised { Timeout.timeout(0.05) { testing.consume(tested { sleep }, messages("a1")) } }
    expect(error).to be_a(Timeout::Error).or have_attributes(message: /was left by throw/) # Ruby 3.1's timeout throws
    expect(WorkShaper.current).to be_nil
  end

  it "lets failed expectations and mocks through: they are the test's, and no failures of the work" do
    double = instance_double(Array)
    error = raised { testing.consume(tested { expect(1).to eq(2) }, messages("a1")) } # rubocop:disable RSpec/ExpectActual
    expect(error).to be_a(RSpec::Expectations::ExpectationNotMetError)
    error = raised { testing.consume(tested { double.push(1) }, messages("a1")) }
    expect(error).to be_a(RSpec::Mocks::MockExpectationError)
    failing = ->(*) { expect(1).to eq(2) } # rubocop:disable RSpec/ExpectActual
    [{ on_error: failing }, { wait: failing }, { rules: { failing => :skip } }, { attempts: 1, give_up: failing },
     { attempts: 1, give_up: "dead", dead_letter_headers: failing }].each do |options|
      error = raised { testing.consume(tested(**options) { raise "bad" }, messages("a1")) }
      expect(error).to be_a(RSpec::Expectations::ExpectationNotMetError), options.to_s
    end
  end

  it "tells what on_error, wait, a rule and other headers raise, and goes on as a consumer does" do
    options = { attempts: 3, give_up: "dead", on_error: ->(*) { raise "on_error is broken" },
                wait: ->(*) { raise "wait is broken" }, rules: { ->(_error) { raise "the rule is broken" } => :skip },
                dead_letter_headers: lambda { |failure|
                  failure.refusals ? { "times" => failure.refusals } : raise("no headers")
                } }
    result = testing.consume(tested(**options) { raise "bad" }, messages("a1"))
    lines = result.log.map { |line| line.values_at(:message, :error) }
    expect(lines).to include(["Error in on_error", "RuntimeError: on_error is broken"],
                             ["Error in wait", "RuntimeError: wait is broken"],
                             ["Could not give up", "RuntimeError: no headers"])
    expect(lines.map(&:first)).to include(start_with("Error in rules"))
    expect(result.retried.map(&:wait)).to match([be_between(1, 1.15), be_between(2, 2.3)])
    expect(result.dead_letters.map(&:headers)).to eq([{ "times" => "1" }])
  end

  it "writes nothing to the logger, whose own lines go on" do
    log = StringIO.new
    WorkShaper.logger = Logger.new(log)
    testing.consume(tested(attempts: 2, give_up: :skip) { raise "bad" }, messages("a1"))
    expect(log.string).to be_empty
    WorkShaper.const_get(:SafeLog).write(:warn, { message: "of another" })
    expect(log.string).to include("of another")
  end

  it "serves two threads at once, each with lines and a current of its own" do
    gates = Array.new(2) { Queue.new }
    results = Array.new(2) do |index|
      Thread.new do
        consumer = tested(attempts: 2, give_up: :skip) do |message|
          gates[1 - index] << true
          gates[index].pop
          raise "bad #{WorkShaper.current.partition} #{message.payload}"
        end
        testing.consume(consumer, [{ payload: "a", partition: index }])
      end
    end.map(&:value)
    results.each_with_index do |result, index|
      expect(result.log.map { |line| line[:error] }).to all(eq("RuntimeError: bad orders/#{index} a"))
      expect(result.log.size).to eq(3)
    end
  end

  it "can be used inside the work of another session" do
    inner = nil
    outer = testing.consume(tested do |message|
      inner = testing.consume(tested(attempts: 1, give_up: :skip) do
        raise WorkShaper.current.partition
      end, [{ partition: 7 }])
      raise WorkShaper.current.partition if message.attempt == 1
    end, messages("a1"))
    expect(inner.log.map { |line| line[:error] }.uniq).to eq(["RuntimeError: orders/7"])
    expect(outer.log.map { |line| line[:error] }).to eq(["RuntimeError: orders/0"])
  end

  it "can be used inside a consumer's own work, whose current is back afterwards" do
    seen = Queue.new
    manager = WorkShaper::Manager.new(ack: ->(*) {}, work: lambda do |*|
      testing.consume(tested { seen << WorkShaper.current.offset }, messages("a1"))
      seen << WorkShaper.current.offset
    end)
    manager.enqueue("key", "message", 0, 42)
    manager.shutdown
    expect(Array.new(2) { seen.pop }).to eq([0, 42])
  end

  describe "with hostile sub keys" do
    it "keeps the order of Strings of the same bytes, whatever their encoding, and of Strings that change" do
      keys = { "1" => "\xE4".b, "2" => (+"\xE4").force_encoding("ISO-8859-1"), "3" => "\xE4" }
      20.times do |seed|
        consumer = tested(sub_key: ->(message) { keys[message.payload].dup })
        expect(done(testing.consume(consumer, messages("1", "2", "3"), seed: seed))).to eq(%w[1 2 3])
        shared = +"key"
        consumer = tested(sub_key: ->(_message) { shared }) { shared.replace("other") }
        expect(testing.consume(consumer, messages("1", "2", "3"), seed: seed).acknowledged).to eq("orders/0" => 3)
      end
    end

    it "takes what cannot be a Hash key for a sub key that raised" do
      raises = Class.new do
        def hash = raise("no hash")
      end
      asked = 0
      consumer = tested(attempts: 2, give_up: :skip, sub_key: ->(_message) { (asked += 1) && raises.new })
      result = testing.consume(consumer, messages("a1"))
      expect(result.worked.first.error).to have_attributes(message: "no hash")
      expect(tries(result)).to eq([["a1", 1, :retried], ["a1", 2, :done]])
      unequal = Class.new do
        def hash = 1
        def eql?(_other) = raise("no eql?")
      end
      result = testing.consume(tested(sub_key: ->(_message) { unequal.new }), messages("a1", "a2", "a3"))
      expect(result.acknowledged).to eq("orders/0" => 3)
    end

    it "gives messages without a key no order" do
      orders = Array.new(30) { |seed| done(testing.consume(tested, [{ payload: "1" }, { payload: "2" }], seed: seed)) }
      expect(orders.uniq.size).to eq(2)
      result = testing.consume(tested(sub_key: ->(_message) { Float::NAN }), messages("a1", "a2"))
      expect(result.acknowledged).to eq("orders/0" => 2)
    end
  end

  it "works on 10,000 messages, of which some fail, with crashes" do
    failed = {}
    consumer = tested(concurrency: 10) do |message|
      raise "bad" if message.offset % 10 == 3 && !failed[message.id] && (failed[message.id] = true)
    end
    all = Array.new(10_000) { |number| { payload: number.to_s, key: (number % 100).to_s } }
    result = testing.consume(consumer, all, crash: Array.new(100) { |number| number * 100 })
    expect(result.acknowledged).to eq("orders/0" => 10_000)
    expect(result.worked.size).to be > 11_100
  end
end
