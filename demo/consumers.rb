# frozen_string_literal: true

require "work_shaper"

require_relative "failure"
require_relative "memory"
require_relative "progress"
require_relative "traffic"

module Demo
  # What came of consuming in one of the two ways.
  Result = Struct.new(:messages, :seconds, :violations, :memory, keyword_init: true) do
    def rate
      messages / seconds if messages.positive? && seconds.positive?
    end
  end

  # The work that both ways do on each message: some milliseconds of waiting, as for a query or an HTTP call.
  class Work
    IO_SEC = 0.005

    def initialize(traffic)
      @check = OrderCheck.new(traffic)
    end

    def call(message, _partition = nil, _offset = nil)
      @check.watch(message) { sleep IO_SEC }
    end

    def result(seconds)
      Result.new(messages: @check.done, violations: @check.violations, seconds: seconds, memory: Memory.highest)
    end
  end

  # Consumes as most programs do: poll, work, poll. Its rate shows after a sample of the messages.
  class OneByOne
    def initialize(traffic, feed)
      @work = Work.new(traffic)
      @feed = feed
    end

    def run(sample)
      progress = Progress.new("one by one", sample)
      count = 0
      @feed.each do |message|
        next unless message

        @work.call(message)
        progress.reach(count += 1)
        break if count == sample
      end
      progress.stop
      @work.result(@feed.seconds)
    end
  end

  # Consumes with WorkShaper: the same work, in parallel, the message's key as the sub key.
  class InParallel
    Position = Struct.new(:topic, :partition, :offset)

    def initialize(traffic, feed, topic)
      @work = Work.new(traffic)
      @feed = feed
      @consumer = feed.consumer
      @topic = topic
      @shaper = WorkShaper::Manager.new(work: @work, ack: method(:acknowledge), acks: :latest,
                                        max_in_queue: 250, max_in_flight: 2_500, heartbeat_period_sec: nil)
    end

    # When it is interrupted, what is enqueued by then is finished and committed.
    def run
      @progress = Progress.new("WorkShaper", @feed.size)
      enqueue_all
      show_progress until @shaper.drain(timeout: 0.1)
      result = @work.result(@feed.seconds)
      show_progress
      @progress.stop
      commit
      result
    ensure
      @shaper.shutdown(timeout: 5)
    end

    private

    def enqueue_all
      @feed.each do |message|
        @shaper.enqueue(message.key, message, message.partition, message.offset) if message
        show_progress
      end
    end

    # Also the place to notice that the manager gave up: nothing would come to an end then.
    def show_progress
      raise Failure, "WorkShaper stopped: #{@shaper.stats[:fatal]}" if @shaper.shutting_down

      @progress.reach(@shaper.total_acked)
    end

    # `offset` and all below it are finished. rdkafka stores the next one, so the 1 is added there and not here.
    def acknowledge(partition, offset)
      @consumer.store_offset(Position.new(@topic, partition, offset))
    end

    def commit
      @consumer.commit
    rescue Rdkafka::RdkafkaError => e
      raise unless e.code == :no_offset
    end
  end
end
