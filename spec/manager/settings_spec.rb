# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "settings" do
  largest = 2_147_483_647
  variables = {
    concurrency: "WORK_SHAPER_CONCURRENCY", max_in_queue: "WORK_SHAPER_MAX_IN_QUEUE",
    max_in_flight: "WORK_SHAPER_MAX_IN_FLIGHT", offset_commit_period_ms: "WORK_SHAPER_OFFSET_COMMIT_PERIOD_MS",
    heartbeat_period_sec: "WORK_SHAPER_HEARTBEAT_PERIOD_SEC", acks: "WORK_SHAPER_ACKS"
  }
  older_names = %w[MAX_IN_QUEUE MAX_THREAD_QUEUE_SIZE]
  integers = variables.keys - [:acks]

  around do |example|
    with_env((variables.values + older_names).to_h { |name| [name, nil] }) { example.run }
  end

  def build(**settings)
    log
    keep(WorkShaper::Manager.new(work: ->(_, _, _) { @held&.pass }, ack: lambda { |p, o|
      calls.note(:ack, partition: p, offset: o) && nil
    },
                                 **settings))
  end

  # Each limit as the manager shows it by what it does.
  def shown_max_in_queue(**settings)
    @held = gate
    shaper = build(**settings)
    shaper.enqueue(:key, :m, 0, 0)
    settle(shaper, running: 1)
    (1..100).take_while { |offset| shaper.try_enqueue(:key, :m, 0, offset) }.size
  end

  def shown_max_in_flight(**settings)
    @held = gate
    shaper = build(**settings)
    (0..100).take_while { |offset| shaper.try_enqueue(offset, :m, 0, offset) }.size
  end

  # Whether exactly so many run at the same time, and no worker more was started for what waited meanwhile.
  def runs_at_once?(count, **settings)
    @held = gate
    shaper = build(**settings)
    40.times { |offset| shaper.enqueue(offset, :m, 0, offset) }
    settle(shaper, running: count, waiting: 40 - count)
    eventually { worker_threads.all?(&:stop?) }
    @held.open
    drained(shaper).stats[:workers] == count
  end

  # :latest calls ack once for all that is finished behind a head, :every calls it for each.
  def shown_acks(**settings)
    @held = nil
    head = gate
    calls = ManagerHelpers::Calls.new
    shaper = manager(calls: calls, work: ->(message, _, _) { head.pass if message == 0 }, **settings)
    5.times { |n| shaper.enqueue(n, n, 0, n) }
    settle(shaper, running: 1)
    head.open
    drained(shaper)
    { [4] => :latest, [0, 1, 2, 3, 4] => :every }.fetch(calls.acks)
  end

  describe "as keywords" do
    it "may be Integers" do
      expect(shown_max_in_queue(max_in_queue: 3)).to eq(3)
      expect(shown_max_in_flight(max_in_flight: 4)).to eq(4)
      expect(runs_at_once?(2, concurrency: 2)).to be(true)
    end

    it "may be Strings of digits, always decimal" do
      expect(shown_max_in_queue(max_in_queue: "3")).to eq(3)
      expect(shown_max_in_flight(max_in_flight: "010")).to eq(10)
      expect(runs_at_once?(2, concurrency: "2".b.freeze)).to be(true)
    end

    it "may name acks as Symbols and as Strings" do
      expect([:every, "every", :latest, "latest"].map { |acks| shown_acks(acks: acks) })
        .to eq(%i[every every latest latest])
    end

    integers.each do |name|
      [1, "1", largest, largest.to_s].each do |value|
        it "take #{name}: #{value.inspect}" do
          shaper = build(name => value)
          shaper.enqueue(:key, :m, 0, 0)
          expect(bounded { shaper.shutdown(timeout: 10) }).to be(true)
        end
      end
    end

    [0, "0", nil].each do |value|
      it "take heartbeat_period_sec: #{value.inspect}" do
        expect(bounded { build(heartbeat_period_sec: value).shutdown(timeout: 10) }).to be(true)
      end
    end
  end

  describe "from the environment" do
    it "are taken for what is not passed" do
      with_env("WORK_SHAPER_MAX_IN_QUEUE" => "3", "WORK_SHAPER_MAX_IN_FLIGHT" => "5", "WORK_SHAPER_CONCURRENCY" => "2",
               "WORK_SHAPER_ACKS" => "latest") do
        expect(shown_max_in_queue).to eq(3)
        expect(shown_max_in_flight).to eq(5)
        expect(runs_at_once?(2, max_in_flight: 100)).to be(true)
        expect(shown_acks).to eq(:latest)
      end
    end

    it "do not count where a keyword is passed, not even when bad" do
      with_env(variables.values.to_h { |name| [name, "bad"] }) do
        settings = { concurrency: 2, max_in_flight: 10, offset_commit_period_ms: 5, heartbeat_period_sec: 0,
                     acks: :every }
        expect(shown_max_in_queue(**settings, max_in_queue: 2)).to eq(2)
        expect(shown_acks(**settings.except(:heartbeat_period_sec), max_in_queue: 2)).to eq(:every)
      end
    end

    it "turn the heartbeat on, and off with 0; nil as keyword is off and not left out" do
      reports = -> { log.entries(/\AReporting\z/) }
      with_env("WORK_SHAPER_HEARTBEAT_PERIOD_SEC" => "1") do
        silent = [build(heartbeat_period_sec: nil), build(heartbeat_period_sec: 0)]
        silent.each { |shaper| shaper.enqueue(:key, :m, 0, 0) && drained(shaper) }
        build
      end
      with_env("WORK_SHAPER_HEARTBEAT_PERIOD_SEC" => "0") { build.enqueue(:key, :m, 0, 0) }
      eventually { reports.call.size >= 2 }
      expect(reports.call.map { |line| line[:total_enqueued] }).to all(eq(0))
    end

    names = ["WORK_SHAPER_MAX_IN_QUEUE"] + older_names
    names.each_with_index do |name, index|
      it "name max_in_queue #{name}, which goes before #{names.drop(index + 1)} and after #{names.take(index)}" do
        with_env(names.drop(index + 1).to_h { |later| [later, "9"] }.merge(name => "2")) do
          expect(shown_max_in_queue).to eq(2)
          expect(shown_max_in_queue(max_in_queue: 4)).to eq(4)
        end
      end
    end

    it "are read when a manager is made, not before" do
      with_env("WORK_SHAPER_MAX_IN_QUEUE" => "2") { expect(shown_max_in_queue).to eq(2) }
      with_env("WORK_SHAPER_MAX_IN_QUEUE" => "3") { expect(shown_max_in_queue).to eq(3) }
      expect(shown_max_in_queue).to eq(25)
    end

    it "do not count MAX_IN_FLIGHT or other names without the prefix" do
      with_env("MAX_IN_FLIGHT" => "1", "CONCURRENCY" => "1", "ACKS" => "latest") do
        expect(runs_at_once?(25)).to be(true)
        expect(shown_acks).to eq(:every)
      end
    end
  end

  # What was passed, as it has to stand in the error; a String of digits may stand there as a number.
  def shown(value)
    /\A\d+\z/.match?(value.to_s) ? value.to_s : value.inspect
  end

  not_positive = [0, -1, largest + 1, 2**62, 2**64, 10**40]
  not_digits = ["", " ", "0", "-1", "+1", " 1", "1 ", "1\n", "\n1", "1.0", "1e3", "1_000", "0x10", "0b1", "ten", "1\0",
                (largest + 1).to_s, "9" * 50, "\u0663", "1\n2"]
  wrong_types = [1.0, 1.5, Float::NAN, 1r, true, false, [], [1], {}, :one, :"1", Object, 1..2, Time.at(1)]

  # The error names the setting or the variable, what it was and what is accepted.
  def expect_refusal(error_class, name, value, &build)
    expect(&build).to raise_error(error_class) { |error|
      expect(error.message).to match(/(?<!_)\b#{name}\b/)
      expect(error.message).to include(shown(value)).and match(/integer|digits/i).and include("2147483647")
    }
  end

  integers.each do |name|
    zeros = name == :heartbeat_period_sec ? [0, "0"] : []

    (not_positive + not_digits - zeros).each do |value|
      it "refuse #{name}: #{value.inspect} with an ArgumentError that tells all" do
        expect_refusal(ArgumentError, name, value) { build(name => value) }
      end
    end

    (wrong_types + (zeros.empty? ? [nil] : [])).each do |value|
      it "refuse #{name}: #{value.inspect} with a TypeError that tells all" do
        expect_refusal(TypeError, name, value) { build(name => value) }
      end
    end

    # A variable holds no NUL; whether an empty one is set is left open.
    (not_digits.grep_v(/\0/) - zeros - [""]).each do |value|
      it "refuse #{variables[name]}=#{value.inspect} with an ArgumentError that tells all" do
        with_env(variables[name] => value) do
          read = ENV.fetch(variables[name]) # in the encoding of the locale
          expect_refusal(ArgumentError, variables[name], read) { build }
        end
      end
    end
  end

  ["1".encode("UTF-16LE"), "\xFF", "\xFF".b, "1\xFF"].each do |value|
    it "refuse a String in an odd encoding: #{value.inspect} (#{value.encoding})" do
      integers.each { |name| expect { build(name => value) }.to raise_error(ArgumentError, /\b#{name}\b/) }
      expect { build(acks: value) }.to raise_error(ArgumentError, /\backs\b/)
    end
  end

  older_names.each do |name|
    it "name #{name} in the error when that is where the value came from" do
      with_env(name => "many") { expect { build }.to raise_error(ArgumentError, /(?<!_)\b#{name}\b.*"many"/m) }
    end
  end

  [:none, :Every, "", "each", "every ", "latest\n", ":every"].each do |value|
    it "refuse acks: #{value.inspect} with an ArgumentError that tells what is accepted" do
      expect { build(acks: value) }
        .to raise_error(ArgumentError, a_string_matching(/\backs\b/).and(a_string_including(value.inspect))
                                         .and(a_string_matching(/every.*latest/m)))
    end
  end

  [nil, true, 1, 1.0, [:every], {}, Object].each do |value|
    it "refuse acks: #{value.inspect} with a TypeError that tells what is accepted" do
      expect { build(acks: value) }
        .to raise_error(TypeError, a_string_matching(/\backs\b/).and(a_string_including(value.inspect))
                                     .and(a_string_matching(/every.*latest/m)))
    end
  end

  it "refuse WORK_SHAPER_ACKS=both by that name" do
    with_env("WORK_SHAPER_ACKS" => "both") do
      expect { build }.to raise_error(ArgumentError, /WORK_SHAPER_ACKS.*"both".*every.*latest/m)
    end
  end

  it "refuse keywords that are not known" do
    expect { build(max_in_que: 1) }.to raise_error(ArgumentError, /max_in_que/)
    expect { build("max_in_queue" => 1) }.to raise_error(ArgumentError)
    expect { build(size: 1) }.to raise_error(ArgumentError)
  end

  it "leave no thread behind when refused" do
    before = manager_threads
    variables.each_key { |name| expect { build(name => Object.new) }.to raise_error(TypeError) }
    expect(manager_threads - before).to be_empty
  end

  it "are not changed by changing the String afterwards" do
    setting = +"3"
    @held = gate
    shaper = build(max_in_queue: setting, acks: +"every")
    setting.replace("1")
    shaper.enqueue(:key, :m, 0, 0)
    settle(shaper, running: 1)
    expect((1..9).take_while { |offset| shaper.try_enqueue(:key, :m, 0, offset) }.size).to eq(3)
  end
end
