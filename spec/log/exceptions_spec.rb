# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper, "what the log says of exceptions" do
  # A logger with the interface of semantic_logger's, that keeps what it is given.
  let(:taking_exceptions) do
    Class.new do
      attr_reader :entries

      def initialize
        @entries = []
      end

      %i[debug info warn error].each do |level|
        define_method(level) do |message = nil, payload = nil, exception = nil, &block|
          @entries << (block ? block.call : [message, payload, exception])
          true
        end
      end
    end.new
  end

  def message_of(length)
    "secret".ljust(length, "x")
  end

  # Work that raises the error is tried once, or a batch of two of them; the entry of it in the log.
  def logged(error)
    shaper = bare_manager(work: ->(_, _, _) { raise error }, ack: ->(_, _) {})
    shaper.enqueue(:key, :message, 0, 7)
    drained(shaper)
    shaper.shutdown
    log.entries(/Error processing/).first
  end

  describe "with a logger as Ruby's" do
    it "has the fields of 0.1.3: error and backtrace as text" do
      entry = logged(IOError.new("disk"))
      expect(entry.keys).to start_with(:message, :offset).and include(:error, :backtrace)
      expect(entry).to include(offset: "0:7", error: "IOError: disk")
      expect(entry[:backtrace]).to all(be_a(String))
      expect(entry[:backtrace].first).to include("exceptions_spec.rb")
    end

    it "cuts a message after 1,000 characters, and says how much is missing" do
      expect(logged(IOError.new(message_of(1_000)))[:error]).to eq("IOError: #{message_of(1_000)}")
    end

    it "writes no line as long as a payload" do
      error = logged(IOError.new(message_of(800_000)))[:error]
      expect(error).to eq("IOError: #{message_of(1_000)}... (799000 more characters)")
    end

    it "cuts the lines of a backtrace" do
      error = IOError.new("disk").tap { |raised| raised.set_backtrace(["x" * 5_000] * 20) }
      expect(logged(error)[:backtrace]).to eq(["#{"x" * 1_000}... (4000 more characters)"] * 10)
    end

    it "cuts what is no valid text, too" do
      expect(logged(IOError.new("\xFF" * 5_000))[:error]).to end_with("... (4000 more characters)")
    end

    it "cuts why a manager shut down by itself" do
      error = IOError.new(message_of(800_000))
      shaper = manager(ack: ->(_, _) { raise error })
      shaper.enqueue(:key, :message, 0, 0)
      eventually { log.entries(/Shutting Down/).any? }
      expect(log.lines.map { |line| line.inspect.length }).to all(be < 8_000)
      expect(log.entries(/Error in ack/).first[:error].length).to be < 1_100
    end
  end

  describe "with a logger that takes exceptions" do
    before { described_class.logger = taking_exceptions }

    # The default logger of the specs is put back after each example by whoever asks for `log`.
    around do |example|
      before = described_class.logger
      example.run
    ensure
      described_class.logger = before
    end

    def entry_of(error)
      shaper = keep(WorkShaper::Manager.new(work: ->(_, _, _) { raise error }, ack: ->(_, _) {},
                                            heartbeat_period_sec: nil))
      shaper.enqueue(:key, :message, 0, 7)
      drained(shaper)
      taking_exceptions.entries.find { |entry| entry.is_a?(Hash) && entry[:message] == "Error processing" }
    end

    let(:told_as_text) { %i[message offset attempt error backtrace] }

    it "hands the exception itself over, besides its text" do
      error = IOError.new("disk")
      expect(entry_of(error)).to include(message: "Error processing", offset: "0:7", error: "IOError: disk",
                                         exception: be(error))
      expect(entry_of(error)).not_to include(:backtrace)
    end

    it "hands none over whose message is too long" do
      expect(entry_of(IOError.new(message_of(1_001))).keys).to eq(told_as_text)
    end

    it "hands none over that was caused by one whose message is too long" do
      caused = begin
        begin
          raise IOError, message_of(1_001)
        rescue IOError
          raise ArgumentError, "short"
        end
      rescue ArgumentError => e
        e
      end
      expect(entry_of(caused).keys).to eq(told_as_text)
    end

    it "hands none over whose message cannot be had" do
      broken = Class.new(StandardError) { def message = raise("no message") }.new
      expect(entry_of(broken).keys).to eq(told_as_text)
    end
  end
end
