# frozen_string_literal: true

require_relative "../../lib/work_shaper/errors"
require_relative "../../lib/work_shaper/safe_log"
require_relative "../../lib/work_shaper/breaker"

RSpec.describe "Breaker" do
  # What was asked of the holder and written to the log, in order.
  let(:told) { [] }
  let(:tries) { Struct.new(:count).new(0) }

  before do
    log = WorkShaper.const_get(:SafeLog)
    allow(log).to receive(:warn) { |**fields| told << [:warn, fields] }
    allow(log).to receive(:info) { |**fields| told << [:info, fields] }
  end

  # A message as a manager knows it.
  failure_class = Struct.new(:sub_key_id, :attempts, :error, :probe, keyword_init: true) do
    def probe? = probe

    def give_back_attempt
      self.attempts -= 1
    end
  end

  define_method(:failure) do |sub_key_id, attempts: 1, error: IOError.new("no database"), probe: false|
    failure_class.new(sub_key_id: sub_key_id, attempts: attempts, error: error, probe: probe)
  end

  def breaker(share: 0.5, of: 20, wait: 5..60)
    on_own_clock(WorkShaper.const_get(:Breaker)).new(share: share, of: of, wait: wait, holder: holder)
  end

  def holder
    list = told
    Class.new do
      define_method(:hold) { |seconds| list << [:hold, seconds] }
      define_method(:unhold) { list << [:unhold] }
    end.new
  end

  # The next try fails; that it was a success is only that the number grows.
  def fails(breaker, failure)
    breaker.failed(tries.count += 1, failure.is_a?(Integer) ? self.failure(failure) : failure)
  end

  def succeeds(times = 1)
    tries.count += times
  end

  # One whose wait, if it is not another, starts at 5 seconds.
  def opened(**settings)
    breaker = self.breaker(**settings)
    10.times { |number| fails(breaker, number) }
    expect(breaker).to be_open
    told.clear
    breaker
  end

  # So many seconds pass.
  def pass(seconds)
    @now = (@now || Process.clock_gettime(Process::CLOCK_MONOTONIC)) + seconds
  end

  describe "when it is closed" do
    it "opens when the share of the last tries failed, not before" do
      breaker = self.breaker
      failures = Array.new(10) { |number| failure(number, attempts: 3) }
      expect(failures.map { |failure| fails(breaker, failure) }).to eq([*[false] * 9, true])
      expect(told).to eq([[:hold, 5], [:warn, { message: "Breaker opened", error: "IOError: no database", tries: 20,
                                                failed: 10, probe_in_sec: 5 }]])
      expect(failures.map(&:attempts)).to all(eq(2))
      expect(breaker.stats).to include(state: :open, open_for_sec: be_between(0, 60), error: "IOError: no database",
                                       probes: 0, opened: 1)
    end

    it "says so in its stats" do
      expect(breaker.stats).to eq({ state: :closed, open_for_sec: nil, error: nil, probes: 0, opened: 0 })
      expect(breaker).not_to be_open
    end

    it "never opens for fewer than five sub keys, however often they fail" do
      breaker = self.breaker
      300.times { |number| expect(fails(breaker, number % 4)).to be(false) }
      expect(told).to be_empty
      expect(fails(breaker, 4)).to be(true)
    end

    it "does not open for one message that is poison among others that succeed" do
      breaker = self.breaker
      poison = failure(1, attempts: 0)
      200.times { fails(breaker, poison) || succeeds }
      expect(told).to be_empty
      expect(poison.attempts).to eq(0)
    end

    it "opens in an outage although a message is poison, and gives that its attempts back, one for each try" do
      breaker = self.breaker
      poison = failure(0, attempts: 6)
      others = Array.new(4) { |number| failure(number + 1) }
      6.times { fails(breaker, poison) }
      others.each { |other| fails(breaker, other) }
      expect(breaker).to be_open
      expect([poison, *others].map(&:attempts)).to all(eq(0))
    end

    it "lets failures slide out of the window as tries succeed" do
      breaker = self.breaker
      100.times do |number|
        fails(breaker, number)
        succeeds(2)
      end
      expect(told).to be_empty
    end

    it "counts exactly the last tries" do
      { 10 => true, 11 => false }.each do |successes, opens|
        breaker = self.breaker
        tries.count = 0
        9.times { |number| fails(breaker, number) }
        succeeds(successes) # the first of them is number 1; the next failure is 20 or 21
        expect(fails(breaker, 9)).to be(opens)
      end
    end

    it "gives nothing back to what failed before the window" do
      breaker = self.breaker(of: 10)
      before = failure(0)
      fails(breaker, before)
      succeeds(30)
      within = Array.new(5) { |number| failure(number) }
      within.each { |failure| fails(breaker, failure) }
      expect([before, *within].map(&:attempts)).to eq([1, 0, 0, 0, 0, 0])
    end

    it "does not mind that threads overtake each other" do
      breaker = self.breaker
      answers = (1..10).to_a.reverse.map { |number| breaker.failed(number, failure(number)) }
      expect(answers).to eq([*[false] * 9, true])
    end

    it "does not count again what left the window, when one comes late" do
      breaker = self.breaker
      9.times { |number| breaker.failed(number + 1, failure(number)) }
      breaker.failed(1000, failure(10))
      expect(breaker.failed(20, failure(11))).to be(false)
      8.times { |number| breaker.failed(20, failure(number)) }
      expect(breaker).not_to be_open
    end

    it "has no rounding in the share" do
      { [0.55, 20] => 11, [0.7, 10] => 7, [0.35, 20] => 7, [1, 6] => 6, [0.07, 100] => 7, [1e-9, 20] => 5,
        [1/3r, 15] => 5 }.each do |(share, of), failures|
        breaker = self.breaker(share: share, of: of)
        answers = Array.new(failures) { |number| fails(breaker, number) }
        expect([share, *answers]).to eq([share, *[false] * (failures - 1), true])
      end
    end

    it "names the commonest class of error, in its newest words" do
      breaker = self.breaker
      errors = [KeyError.new("k1"), IOError.new("i1"), IOError.new("i2"), KeyError.new("k2"), IOError.new("i3"),
                KeyError.new("k3"), EOFError.new("e"), IOError.new("i4"), TypeError.new("t"), RangeError.new("r")]
      errors.each_with_index { |error, number| fails(breaker, failure(number, error: error)) }
      expect(told.last.last).to include(error: "IOError: i4")
      expect(breaker.stats).to include(error: "IOError: i4")
    end

    it "keeps what the error of a try was, though its message failed differently since" do
      breaker = self.breaker
      failing = failure(0, error: IOError.new("first"))
      6.times { fails(breaker, failing) }
      failing.error = KeyError.new("second")
      4.times { |number| fails(breaker, failure(number + 1, error: EOFError.new("end"))) }
      expect(told.last.last).to include(error: "IOError: first")
    end

    it "survives errors that cannot say what they are" do
      silent = Class.new(IOError) do
        def message = raise("no message")
        def class = raise("no class")
      end
      breaker = self.breaker
      10.times { |number| fails(breaker, failure(number, error: silent.new)) }
      expect(breaker.stats).to include(state: :open, error: /message cannot be had/)
    end

    it "does nothing about a success" do
      breaker.succeeded
      expect(told).to be_empty
    end

    it "keeps no more failures than the window has" do
      breaker = self.breaker
      1000.times { |number| fails(breaker, number % 4) }
      kept = breaker.instance_variables.map { |name| breaker.instance_variable_get(name) }.grep(Array)
      expect(kept.map(&:size)).to all(be <= 20)
    end
  end

  describe "when it is open" do
    it "gives back the attempt of what fails, unless the caller did" do
      breaker = opened
      failing = failure(1, attempts: 4)
      expect(fails(breaker, failing)).to be(true)
      expect(failing.attempts).to eq(3)
      breaker.failed(100, failing, true)
      expect(failing.attempts).to eq(3)
      expect(told).to be_empty
    end

    it "doubles the wait up to the last with each probe that fails, and with nothing else" do
      breaker = opened
      7.times do
        fails(breaker, failure(1, probe: true))
        fails(breaker, failure(2))
      end
      expect(told).to eq([10, 20, 40, 60, 60, 60, 60].map { |seconds| [:hold, seconds] })
      expect(breaker.stats).to include(probes: 7, state: :open, opened: 1)
    end

    it "keeps to a wait that is one number" do
      breaker = opened(wait: 0.5)
      2.times { fails(breaker, failure(1, probe: true)) }
      expect(told).to eq([[:hold, 0.5]] * 2)
    end

    it "stays at the last wait however many probes fail" do
      breaker = opened(wait: 1e-9..60)
      3000.times { fails(breaker, failure(1, probe: true)) }
      expect(told.last).to eq([:hold, 60])
    end

    it "closes with a success, and says how long it was open" do
      breaker = opened
      fails(breaker, failure(1, probe: true))
      pass(12.3)
      expect(breaker.stats).to include(open_for_sec: be_between(12.3, 60))
      told.clear
      breaker.succeeded
      line = include(message: "Breaker closed", open_for_sec: be_between(12.3, 60), probes: 1)
      expect(told).to contain_exactly([:unhold], [:info, line])
      expect(breaker.stats).to eq({ state: :closed, open_for_sec: nil, error: nil, probes: 0, opened: 1 })
    end

    it "starts anew when it has closed: the first wait, and none of the old failures" do
      breaker = opened
      3.times { fails(breaker, failure(1, probe: true)) }
      breaker.succeeded
      told.clear
      9.times { |number| expect(fails(breaker, number)).to be(false) }
      expect(told).to be_empty
      expect(fails(breaker, 9)).to be(true)
      expect(told.first).to eq([:hold, 5])
      expect(breaker.stats).to include(opened: 2, probes: 0)
    end

    it "closes once, whoever succeeds" do
      breaker = opened
      3.times { breaker.succeeded }
      expect(told.map(&:first)).to contain_exactly(:unhold, :info)
    end
  end

  describe "on many threads" do
    # Whatever a logger or an error's text does, it may not lock up the workers.
    it "may be asked while it writes to the log, and while an error says what it is" do
      breaker = self.breaker
      seen = []
      asking = Class.new(IOError) do
        define_method(:message) do
          seen << breaker.stats[:state]
          "asked"
        end
      end
      %i[warn info].each do |level|
        allow(WorkShaper.const_get(:SafeLog)).to receive(level) { |**| seen << breaker.stats[:state] }
      end
      10.times { |number| fails(breaker, failure(number, error: asking.new)) }
      breaker.succeeded
      expect(seen).to include(:open).and end_with(:closed)
    end

    it "holds and lets go in turn" do
      breaker = self.breaker(of: 10)
      numbers = Queue.new
      (1..2000).each { |number| numbers << number }
      numbers.close
      threads = Array.new(4) do
        Thread.new do
          while (number = numbers.pop)
            number % 50 == 0 ? breaker.succeeded : breaker.failed(number, failure(number))
            Thread.pass
          end
        end
      end
      threads.each(&:join)
      turns = told.map(&:first).grep(/hold/)
      expect(turns).to eq(turns.each_index.map { |index| index.even? ? :hold : :unhold })
      expect(turns.size).to be > 10
      expect(breaker.stats[:opened]).to eq(turns.count(:hold))
    end
  end
end
