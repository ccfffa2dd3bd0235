# frozen_string_literal: true

require "spec_helper"
require "json"

RSpec.describe WorkShaper, ".logger" do
  around do |example|
    before = described_class.logger
    example.run
  ensure
    described_class.logger = before
  end

  # What a process of its own prints with the logger that it finds, with LOG_LEVEL as given (nil: unset).
  def printed(script, level: nil)
    run_ruby("require \"work_shaper\"\nWorkShaper.logger = nil\n#{script}", limit: 30,
                                                                            env: { "LOG_LEVEL" => level }).stdout.lines
  end

  every_level = "%i[debug info warn error fatal].each { |level| WorkShaper.logger.public_send(level, level.to_s) }"

  it "writes one JSON line on stdout for each entry, with WorkShaper's fields" do
    lines = printed('WorkShaper.logger.warn({ message: "Shutting Down", count: 3 }); puts Process.pid')
    entry = JSON.parse(lines.first)

    expect(entry.keys).to eq(%w[timestamp level pid msg])
    expect(entry["timestamp"]).to match(/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\z/)
    expect(entry).to include("level" => "WARN ", "pid" => lines.last.to_i,
                             "msg" => { "message" => "Shutting Down", "count" => 3 })
  end

  { nil => 4, "DEBUG" => 5, "debug" => 5, "INFO" => 4, "warn" => 3, "ERROR" => 2, "fatal" => 1, "Warn" => 3 }
    .each do |level, count|
      it "writes #{count} of five levels when LOG_LEVEL is #{level.inspect}" do
        entries = printed(every_level, level: level).map { |line| JSON.parse(line)["level"].strip }
        expect(entries).to eq(%w[DEBUG INFO WARN ERROR FATAL].last(count))
      end
    end

  it "is a ::Logger, the same each time" do
    described_class.logger = nil
    expect(described_class.logger).to be_a(Logger)
    expect(described_class.logger).to equal(described_class.logger)
  end

  it "can be replaced, even while a manager runs" do
    first, second = Array.new(2) { ManagerHelpers::LogCapture.new }
    described_class.logger = first
    shaper = keep(WorkShaper::Manager.new(work: ->(_, _, _) { raise "failed" }, ack: ->(_, _) {}))
    shaper.enqueue(:key, :m, 0, 0)
    drained(shaper)
    described_class.logger = second
    shaper.enqueue(:key, :m, 0, 1)
    drained(shaper)
    shaper.report

    expect(first.messages("ERROR")).not_to be_empty
    expect(second.messages("ERROR")).not_to be_empty
    expect(second.entries(/\AReporting\z/).size).to eq(1)
  end

  it "keeps formatter for those who build a logger of their own" do
    output = StringIO.new
    Logger.new(output, formatter: described_class.formatter).info("text")
    expect(JSON.parse(output.string)).to include("level" => "INFO ", "msg" => "text", "pid" => Process.pid)
    expect(output.string).to end_with("\n")
  end

  { "an Exception" => IOError.new("disk"), "nil" => nil, "an Array" => [1, nil], "broken UTF-8" => "\xFF\xFE",
    "binary in a Hash" => { message: "m", partition: "\xFF".b, "\xFE" => 1 }, "NaN" => { age: Float::NAN },
    "Infinity" => [Float::INFINITY] }.each do |name, message|
      it "formats anything as one line of JSON: #{name}" do
        output = StringIO.new
        Logger.new(output, formatter: described_class.formatter).warn(message)
        expect(output.string.lines.size).to eq(1)
        expect(JSON.parse(output.string)).to include("level" => "WARN ")
      end
    end

  describe "below its level" do
    # A logger that notes whatever it is handed beside a block.
    def noting_logger(level)
      handed = []
      logger = Class.new(Logger) do
        %i[debug info warn error].each do |name|
          define_method(name) do |message = nil, &block|
            handed << message unless message.nil?
            super(message, &block)
          end
        end
      end
      [logger.new(StringIO.new, level: level), handed]
    end

    it "is never handed a line that is made already" do
      logger, handed = noting_logger(Logger::FATAL)
      described_class.logger = logger
      shaper = keep(WorkShaper::Manager.new(work: ->(message, _, _) { raise "failed" if message == :bad },
                                            ack: ->(_, offset) { offset.odd? }, heartbeat_period_sec: 1))
      %i[good bad good good].each_with_index { |message, n| shaper.enqueue(:key, message, 0, [0, 1, 1, 0][n]) }
      drained(shaper)
      shaper.report(detailed: true)
      shaper.shutdown
      expect(handed).to be_empty
    end

    it "never looks at what would be in the line" do
      described_class.logger = Logger.new(StringIO.new, level: Logger::WARN)
      looked = []
      curious = Class.new do
        %i[inspect to_s to_json].each { |name| define_method(name) { |*| looked.push(name).last.to_s } }
      end
      held = gate
      shaper = keep(WorkShaper::Manager.new(work: ->(message, _, _) { held.pass if message == :held }, ack: ->(_, _) {},
                                            heartbeat_period_sec: nil))
      key = curious.new
      partition = curious.new
      shaper.enqueue(key, curious.new, partition, 0)
      drained(shaper)
      shaper.enqueue(key, :held, partition, 1)
      settle(shaper, running: 1)
      shaper.report(detailed: true)
      held.open
      drained(shaper)
      shaper.report(detailed: true)
      expect(looked).to be_empty
    end

    it "allocates nothing for a report" do
      described_class.logger = Logger.new(StringIO.new, level: Logger::ERROR)
      shaper = keep(WorkShaper::Manager.new(work: ->(_, _, _) {}, ack: ->(_, _) {}, heartbeat_period_sec: nil))
      50.times { |n| shaper.enqueue(n, n, n, 0) }
      drained(shaper)
      10.times { shaper.report(detailed: true) }
      before = GC.stat(:total_allocated_objects)
      1_000.times { shaper.report(detailed: true) }
      # A Hash of the keyword and the like may be made, the stats of 50 partitions may not.
      expect(GC.stat(:total_allocated_objects) - before).to be < 10_000
    end

    it "is silent at INFO while all is well" do
      described_class.logger = capture = ManagerHelpers::LogCapture.new
      shaper = keep(WorkShaper::Manager.new(work: ->(_, _, _) {}, ack: ->(_, _) {}, heartbeat_period_sec: nil))
      500.times { |n| shaper.enqueue(n % 10, n, 0, n) }
      drained(shaper)
      expect(capture.lines).to be_empty
    end
  end

  it "reports a shutdown, which is no warning" do
    shaper = manager
    3.times { |n| shaper.enqueue(n, n, 0, n) }
    shaper.shutdown
    eventually { log.entries(/shutting down/i).any? }
    expect(log.entries(/shutting down/i).size).to eq(1)
    expect(log.messages("WARN")).to be_empty
  end

  it "warns of a shutdown that nobody asked for" do
    shaper = manager(ack: ->(_, _) { raise IOError, "disk" })
    shaper.enqueue(0, 0, 0, 0)
    eventually { log.entries(/shutting down/i, "WARN").any? }
    expect(log.entries(/shutting down/i)).to match([include(fatal: /IOError: disk/)])
  end
end
