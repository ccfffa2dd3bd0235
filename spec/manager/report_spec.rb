# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "#report" do
  def reports
    log.entries(/\AReporting\z/, "INFO")
  end

  def details
    log.entries(/\AReporting - Extra Detail\z/, "INFO")
  end

  def busy_manager
    held = gate
    shaper = manager(concurrency: 1, work: ->(message, _, _) { held.pass if message == :held })
    3.times { |n| shaper.enqueue(:a, :free, :p, n) }
    drained(shaper)
    shaper.enqueue(:a, :held, :p, 3)
    shaper.enqueue(:b, :free, :p, 4)
    settle(shaper, running: 1, waiting: 1)
    shaper
  end

  it "logs WorkShaper's fields" do
    busy_manager.report

    expect(reports).to contain_exactly(
      include(total_enqueued: 5, total_acked: 3, in_flight: 2, last_acked_offsets: { p: 2 }, worker_count: 1)
    )
    expect(reports.first).to have_key(:offset_mgr)
    expect(details).to be_empty
  end

  it "adds a line of detail when asked to" do
    shaper = busy_manager
    [true, false].each { |detailed| shaper.report(detailed: detailed) }

    expect(reports.size).to eq(2)
    expect(details.size).to eq(1)
    expect(details.first.keys).to include(:message, :pending_ack, :received_offsets)
  end

  it "works on a new manager and after shutdown" do
    shaper = manager
    expect { shaper.report(detailed: true) }.to change { [reports.size, details.size] }.from([0, 0]).to([1, 1])
    shaper.shutdown
    seen = [reports.size, details.size]
    expect { shaper.report(detailed: true) }.to change { [reports.size, details.size] }.to(seen.map(&:succ))
    expect(reports.map { |line| line[:total_enqueued] }).to all(eq(0))
  end

  it "works from every callback" do
    shaper = nil
    shaper = manager(work: lambda { |message, _, _|
      shaper.report(detailed: true) && message == :failing && raise("failed")
    },
                     on_done: ->(_, _, _) { shaper.report }, on_error: ->(_, _, _, _) { shaper.report },
                     ack: ->(_, _) { shaper.report(detailed: true) && nil })
    shaper.enqueue(:a, :m, 0, 0)
    drained(shaper)
    expect(reports.size).to eq(3)
    expect(calls.errors).to be_empty
  end

  it "keeps the line of detail short however much is in flight" do
    held = gate
    shaper = manager(max_in_queue: 6_000, work: ->(_, _, _) { held.pass })
    5_000.times { |n| shaper.enqueue(:key, :m, 0, n) }
    shaper.report(detailed: true)
    expect(details.first.to_s.size).to be < 10_000
  end

  { "broken UTF-8" => "\xFF\xFE", "binary" => "\xFF".b, "NaN" => Float::NAN }.each do |what, partition|
    it "writes a line for a partition that JSON cannot hold: #{what}" do
      held = gate
      shaper = manager(work: ->(message, _, _) { held.pass if message == :held })
      output = StringIO.new
      WorkShaper.logger = Logger.new(output, formatter: WorkShaper.formatter)
      shaper.enqueue(partition, :free, partition, 0)
      drained(shaper)
      shaper.enqueue(partition, :held, partition, 1)
      settle(shaper, running: 1)

      expect { shaper.report(detailed: true) }.not_to raise_error
      expect(output.string.b).to include("Reporting").and include("Extra Detail")
    end
  end

  describe "as heartbeat" do
    def beating_manager(period)
      log
      keep(WorkShaper::Manager.new(**calls.callbacks, heartbeat_period_sec: period))
    end

    it "comes every heartbeat_period_sec, with nothing to do as well" do
      shaper = beating_manager(1)
      eventually { reports.size >= 2 }
      shaper.enqueue(:key, :message, 0, 0)
      drained(shaper)
      seen = reports.size
      eventually { reports.size > seen && reports.last[:total_acked] == 1 }
      expect(shaper.stats[:fatal]).to be_nil
    end

    it "ends with shutdown" do
      shaper = beating_manager(1)
      shaper.enqueue(:key, :message, 0, 0)
      expect(bounded { shaper.shutdown(timeout: 5) }).to be(true)
      expect(threads_left).to be_empty
    end

    [nil, 0, "0"].each do |period|
      it "never comes with #{period.inspect}" do
        shaper = beating_manager(period)
        with_other = beating_manager(1)
        shaper.enqueue(:key, :message, 0, 0)
        drained(shaper)
        eventually { reports.size >= 2 }
        with_other.shutdown
        expect(reports.map { |line| line[:total_enqueued] }).to all(eq(0))
      end
    end

    it "goes on though the logger raised" do
      raised = 0
      faulty = Class.new(ManagerHelpers::LogCapture) do
        define_method(:add) do |*arguments, &block|
          (raised += 1) < 2 ? raise(IOError, "disk full") : super(*arguments, &block)
        end
        define_method(:info) { |message = nil, &block| add(Logger::INFO, message, &block) }
      end
      shaper = beating_manager(1)
      WorkShaper.logger = @log = faulty.new
      eventually { raised >= 2 && reports.any? }
      shaper.enqueue(:key, :message, 0, 0)
      drained(shaper)
      expect(shaper.stats[:fatal]).to be_nil
    end
  end
end
