# frozen_string_literal: true

require "spec_helper"
require "rbs"
require "set"

RSpec.describe WorkShaper::Batches do
  let(:first) { lambda(&:first) }

  describe "#process" do
    it "works on every message once, in order per sub key, and returns nil" do
      shaper = noting(concurrency: 8) { |key, number| Thread.pass if ((key + number) % 3).zero? }
      all = messages(keys: 20, each: 30)
      expect(bounded { shaper.process(all, sub_key: first) }).to be_nil

      expect(calls.worked).to match_array(all)
      by_key = calls.of(:work).map(&:message).group_by(&:first)
      expect(by_key.values).to all(satisfy { |of_key| of_key.map(&:last) == (0...30).to_a })
      expect(calls.of(:work).map(&:thread)).not_to include(Thread.current)
    end

    it "runs sub keys side by side, and those of one never at the same time" do
      held = gate
      shaper = noting(concurrency: 10) { held.pass }
      caller = waiting_in(shaper, messages(keys: 4, each: 3), sub_key: first)
      eventually { held.waiting == 4 }
      expect(calls.started).to contain_exactly([0, 0], [1, 0], [2, 0], [3, 0])
      held.open
      expect(value_of(caller)).to be_nil
    end

    it "asks for no order where the sub key is nil, nor without a sub_key" do
      held = gate
      shaper = noting(concurrency: 6) { held.pass }
      callers = [waiting_in(shaper, [1, 2, 3], sub_key: ->(_) {}), waiting_in(shaper, [4, 5, 6], sub_key: nil)]
      eventually { held.waiting == 6 }
      held.open
      expect(callers.map { |caller| value_of(caller) }).to eq([nil, nil])
    end

    it "returns at once from an empty batch" do
      shaper = noting
      [[], Set.new, [].each].each { |none| expect(shaper.process(none, sub_key: first)).to be_nil }
      expect(shaper.stats).to include(workers: 0, total_enqueued: 0)
    end

    it "takes any objects, the same one twice, and any Enumerable" do
      shaper = noting(concurrency: 1)
      object = BasicObject.new
      shaper.process([nil, false, :same, :same, nil], sub_key: ->(_) { :one })
      shaper.process(3.times, sub_key: ->(_) { :one })
      shaper.process({ a: 1 }, sub_key: first)
      shaper.process([object], sub_key: ->(_) { :one })
      *others, last = calls.worked
      expect(others).to eq([nil, false, :same, :same, nil, 0, 1, 2, [:a, 1]])
      expect(object.equal?(last)).to be(true)
    end

    it "works on what was in the list when it was called" do
      held = gate
      shaper = noting(concurrency: 1, max_in_flight: 1) { held.pass }
      list = [1, 2, 3]
      caller = waiting_in(shaper, list, sub_key: ->(_) { :one })
      list.replace([4])
      held.open
      value_of(caller)
      expect(calls.worked).to eq([1, 2, 3])
    end

    it "takes a batch larger than max_in_flight, and keeps to it" do
      most = 0
      shaper = nil
      shaper = noting(concurrency: 3, max_in_flight: 10) do
        most = [most, shaper.stats.values_at(:waiting, :running).sum].max
      end
      all = messages(keys: 7, each: 100)
      bounded { shaper.process(all, sub_key: first) }
      expect(calls.worked).to match_array(all)
      expect(most).to be_between(4, 10)
    end

    it "does not hold others back for a sub key of which many wait" do
      held = gate
      shaper = noting(concurrency: 2) { |message| held.pass if message == [:slow, 0] }
      all = Array.new(1_000) { |number| [:slow, number] } << [:other, 0]
      caller = waiting_in(shaper, all, sub_key: first)
      eventually { calls.worked == [[:other, 0]] }
      held.open
      expect(value_of(caller)).to be_nil
    end

    it "returns as soon as the last is finished, not at its next look" do
      shaper = noting(concurrency: 1) { sleep 0.001 }
      took = Array.new(50) do |number|
        began = ManagerHelpers.now
        shaper.process([number], sub_key: nil)
        ManagerHelpers.now - began
      end
      expect(took.sort[25]).to be < 0.05 # of most: the machine may stand still now and then
    end

    it "uses no CPU while it waits, even when there is news that nobody wants to hear" do
      held = gate
      shaper = noting(concurrency: 2) { |message| held.pass if message == 9 }
      caller = waiting_in(shaper, (0..9).to_a, sub_key: nil)
      eventually { calls.worked.size == 9 }
      before = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
      sleep 0.3
      expect(Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - before).to be < 0.1
      held.open
      value_of(caller)
    end

    it "leaves nothing of a batch behind" do
      shaper = noting
      3.times { shaper.process(messages(keys: 3, each: 3), sub_key: first) }
      settle(shaper)
      expect(shaper.stats).to include(batches: 0, sub_keys: 0, total_enqueued: 27, total_failed: 0,
                                      shutting_down: false, fatal: nil)
    end

    describe "on several threads" do
      it "returns from each batch when that is finished" do
        slow = gate
        fast = gate
        shaper = noting(concurrency: 4) { |batch, _| { slow: slow, fast: fast }.fetch(batch).pass }
        other = waiting_in(shaper, [[:slow, 0], [:slow, 1]], sub_key: nil)
        caller = waiting_in(shaper, [[:fast, 0], [:fast, 1]], sub_key: nil)
        settle(shaper, running: 4)
        expect(shaper.stats).to include(batches: 2)
        fast.open
        value_of(caller)
        expect(other).to be_alive
        slow.open
        value_of(other)
      end

      it "never runs a sub key of two batches at the same time" do
        running = Hash.new(0)
        shaper = noting(concurrency: 8) do |key, _|
          raise "overlap" if (running[key] += 1) > 1

          Thread.pass
          running[key] -= 1
        end
        threads = Array.new(6) do
          in_thread { 5.times { shaper.process(messages(keys: 5, each: 10), sub_key: first) } }
        end
        threads.each { |thread| value_of(thread) }
        expect(calls.worked.size).to eq(6 * 5 * 50)
      end
    end
  end

  describe "when work raises" do
    it "raises the error of the message that failed first, when the others are finished, and logs those of others" do
      gates = gates_by_name
      shaper = noting(concurrency: 4) do |message|
        gates[message].pass
        raise IOError, "broken #{message}" unless message == :fine
      end
      caller = waiting_in(shaper, %i[a b fine], sub_key: nil)
      gates[:b].open
      eventually { shaper.stats.values_at(:total_failed, :running) == [1, 2] } # the error is noted by then
      gates[:a].open
      eventually { shaper.stats.values_at(:total_failed, :running) == [2, 1] }
      expect(caller).to be_alive
      gates[:fine].open

      error = begin
        value_of(caller)
      rescue IOError => e
        e
      end
      expect(error.message).to eq("broken b")
      expect(error.backtrace.first).to include("process_spec")
      expect(log.entries(/besides the one/, "ERROR").map { |line| line.slice(:error, :offset) })
        .to eq([{ error: "IOError: broken a", offset: "(a batch of 3):0" }])
    end

    it "leaves out the later messages of its sub key, and works on all others" do
      shaper = noting(concurrency: 3) { |message| raise IOError, "no" if message == [1, 3] }
      expect { shaper.process(messages(keys: 4, each: 10), sub_key: first) }.to raise_error(IOError, "no")
      numbers = calls.worked.group_by(&:first).transform_values { |of_key| of_key.map(&:last) }
      expect(numbers).to eq(0 => [*0..9], 1 => [0, 1, 2], 2 => [*0..9], 3 => [*0..9])
      expect(log.messages("ERROR")).to be_empty
    end

    it "leaves nothing out where no order was asked for" do
      shaper = noting(concurrency: 1) { |message| raise IOError, "no" if message == 2 }
      [->(_) {}, nil].each do |sub_key|
        expect { shaper.process([1, 2, 3, 4], sub_key: sub_key) }.to raise_error(IOError)
      end
      expect(calls.worked).to eq([1, 3, 4, 1, 3, 4])
    end

    it "knows a sub key again as the manager does" do
      keys = ["é", "é".b, "é".encode("ISO-8859-1"), 1, 1.0, [1], [1]]
      shaper = noting(concurrency: 1) { |message| raise IOError, "no" if [0, 3, 5].include?(message) }
      expect { shaper.process((0...7).to_a, sub_key: ->(message) { keys[message] }) }.to raise_error(IOError)
      expect(calls.worked).to eq([2, 4])
    end

    it "lets the next batch have that sub key again" do
      fail_now = true
      shaper = noting { raise IOError, "no" if fail_now }
      expect { shaper.process([[:a, 1], [:a, 2]], sub_key: first) }.to raise_error(IOError)
      fail_now = false
      shaper.process([[:a, 1], [:a, 2]], sub_key: first)
      expect(calls.worked).to eq([[:a, 1], [:a, 2]])
      expect(shaper.stats).to include(total_failed: 1, fatal: nil)
    end

    it "tells each batch of its own errors" do
      shaper = noting { |batch, number| raise IOError, "no #{batch}" if number == 5 }
      errors = %i[a b c].map do |batch|
        in_thread { shaper.process((0..9).map { |number| [batch, number] }, sub_key: nil) }
      end
      errors.zip(%w[a b c]) { |thread, batch| expect { value_of(thread) }.to raise_error(IOError, "no #{batch}") }
    end
  end

  describe "with bad arguments" do
    it "requires work that can take a message, and settings that it knows" do
      expect { described_class.new }.to raise_error(ArgumentError, /no block/)
      expect { described_class.new(&->(_, _) {}) }.to raise_error(ArgumentError, /block takes .* with 1: message/)
      expect { described_class.new(&->(key:) { key }) }.to raise_error(ArgumentError, /block takes/)
      expect { described_class.new(concurrency: 0) { nil } }.to raise_error(ArgumentError, /concurrency is 0/)
      expect { described_class.new(concurrency: []) { nil } }.to raise_error(TypeError, /concurrency/)
      %i[acks max_in_queue offset_commit_period_ms ack nonsense].each do |name|
        expect { described_class.new(name => 1) { nil } }.to raise_error(ArgumentError, /unknown keyword: :#{name};/)
      end
      [->(*) {}, ->(_, other = 1) { other }, :itself.to_proc, method(:puts)].each do |work|
        expect(batches(&work).process([], sub_key: nil)).to be_nil
      end
    end

    it "requires a list of messages, and lambdas that can take one" do
      shaper = noting
      [nil, 7, "text", Object.new].each do |list|
        expect { shaper.process(list, sub_key: first) }.to raise_error(TypeError, /messages is/)
      end
      [:key, "key", 0].each do |sub_key|
        expect { shaper.process([1], sub_key: sub_key) }.to raise_error(TypeError, /sub_key is/)
        expect { shaper.process([1], sub_key: nil, ack: sub_key) }.to raise_error(TypeError, /ack is/)
      end
      expect { shaper.process([1], sub_key: -> {}) }.to raise_error(ArgumentError, /sub_key takes/)
      expect { shaper.process([1], sub_key: nil, ack: ->(_, _) {}) }.to raise_error(ArgumentError, /ack takes/)
      expect { shaper.process([1]) }.to raise_error(ArgumentError, /sub_key/)
      expect(shaper.stats).to include(total_enqueued: 0, batches: 0)
    end

    it "works on nothing when sub_key raises" do
      shaper = noting
      sub_key = ->(message) { message == 3 ? raise(KeyError, "no key") : message }
      expect { shaper.process([1, 2, 3], sub_key: sub_key) }.to raise_error(KeyError, "no key")
      expect(catch(:out) { shaper.process([1, 2], sub_key: ->(message) { throw :out, message }) }).to eq(1)
      expect(shaper.stats).to include(total_enqueued: 0, batches: 0)
    end

    it "drops what waits when a sub key cannot be a Hash key" do
      held = gate
      shaper = noting(concurrency: 1) { |message| held.pass if message == 1 }
      broken = Object.new
      at_work = -> { eventually { held.waiting == 1 } }
      broken.define_singleton_method(:hash) { at_work.call && raise(IOError, "no hash") }
      expect { shaper.process([1, 2, broken], sub_key: ->(message) { message }) }.to raise_error(IOError, "no hash")
      held.open
      shaper.process([4], sub_key: nil)
      expect(calls.worked).to eq([1, 4])
    end
  end

  describe "inside the work" do
    it "refuses what could wait for itself, in another fiber of the thread, too" do
      errors = []
      shaper = nil
      shaper = noting do |message|
        calls = [-> { shaper.process([message], sub_key: nil) }, -> { shaper.process([], sub_key: nil) },
                 -> { shaper.shutdown(timeout: 0) },
                 -> { Fiber.new { shaper.process([message], sub_key: nil) }.resume }]
        errors.concat(calls.map { |call| (call.call || "returned") rescue $!.class }) # rubocop:disable Style
      end
      shaper.process([1], sub_key: nil)
      expect(errors).to eq([WorkShaper::Error] * 4)
      expect(shaper.stats[:shutting_down]).to be(false)
    end

    it "lets the work of another object, and a thread of its own, have it" do
      inner = noting
      outer = batches { |message| inner.process([message], sub_key: nil) }
      bounded { outer.process([1, 2], sub_key: nil) }
      threads = []
      other = batches do |message|
        next calls.note(:worked, message: message) unless message == :first

        threads << in_thread { other.process([3], sub_key: nil) }
      end
      bounded { other.process([:first], sub_key: nil) }
      value_of(threads.first)
      expect(calls.worked).to contain_exactly(1, 2, 3)
    end
  end

  describe "#shutdown" do
    it "finishes the batch under way, and takes no other" do
      held = gate
      shaper = noting(concurrency: 2) { held.pass }
      caller = waiting_in(shaper, messages(keys: 5, each: 5), sub_key: first)
      expect(shaper.shutdown(timeout: 0)).to be(false)
      expect { shaper.process([1], sub_key: nil) }.to raise_error(WorkShaper::ShuttingDown, /shut down/)
      expect { shaper.process([], sub_key: nil) }.to raise_error(WorkShaper::ShuttingDown)
      held.open
      expect(value_of(caller)).to be_nil
      expect(calls.worked.size).to eq(25)
      expect(bounded { shaper.shutdown }).to be(true)
      expect(threads_left).to be_empty
    end

    it "raises in a batch that it could not take in completely" do
      held = gate
      shaper = noting(concurrency: 1, max_in_flight: 2) { held.pass }
      caller = waiting_in(shaper, (0..9).to_a, sub_key: nil)
      eventually { held.waiting == 1 } # what has not begun would be dropped
      shaper.shutdown(timeout: 0)
      expect { value_of(caller) }.to raise_error(WorkShaper::ShuttingDown)
      held.open
      expect(bounded { shaper.shutdown }).to be(true)
      expect(calls.worked).to eq([0])
    end

    it "takes a timeout and nothing else" do
      shaper = noting
      expect { shaper.shutdown(timeout: "1") }.to raise_error(TypeError)
      expect { shaper.shutdown(timeout: -1) }.to raise_error(ArgumentError)
      expect(shaper.stats[:shutting_down]).to be(false)
      2.times { expect(shaper.shutdown(timeout: 10)).to be(true) }
    end
  end

  it "has the methods and the fields of stats that its signature has" do
    loader = RBS::EnvironmentLoader.new
    loader.add(path: Pathname(File.expand_path("../../sig", __dir__)))
    builder = RBS::DefinitionBuilder.new(env: RBS::Environment.from_loader(loader).resolve_type_names)
    definition = builder.build_instance(RBS::TypeName.parse("::WorkShaper::Batches"))
    signed = definition.methods.select { |_, method| method.public? && method.defined_in.to_s.include?("WorkShaper") }
    expect(described_class.public_instance_methods(false)).to match_array(signed.keys - [:initialize])
    fields = builder.expand_alias2(RBS::TypeName.parse("::WorkShaper::Batches::stats"), []).fields
    expect(noting.stats.keys).to match_array(fields.keys)
  end

  it "shows no more of itself than its name" do
    expect(noting.inspect).to eq("#<WorkShaper::Batches>")
  end
end
