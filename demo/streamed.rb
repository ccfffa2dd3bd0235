# frozen_string_literal: true

require "work_shaper"

require_relative "progress"
require_relative "work"

module Demo
  # A stream: the messages are worked on in parallel, and what comes of them is saved in the order of their offsets.
  class Streamed
    # `messages`: how many results came; `violations`: how many of them out of order.
    Result = Struct.new(:messages, :violations, keyword_init: true)

    def initialize(group, sample)
      @group = group
      @sample = sample
      @saved = Hash.new(-1)
    end

    def run
      bar = Progress.new("stream", @sample)
      result = Result.new(messages: 0, violations: 0)
      options = { concurrency: InParallel::WORKERS, progress: ->(done, _total) { bar.reach(done) } }
      stream = WorkShaper.stream(messages, **options) do |message|
        sleep Work::IO_SEC
        [message.partition, message.offset]
      end
      stream.each { |partition, offset| save(result, partition, offset) }
      bar.reach(result.messages)
      bar.stop
      result
    end

    def stop
      @stopped = true
    end

    private

    def messages
      Enumerator.new(@sample) do |inputs|
        consumer = Rdkafka::Config.new(@group.config).consumer
        consumer.subscribe(@group.topic)
        count = 0
        until @stopped || count == @sample
          message = consumer.poll(100) or next
          inputs << message
          count += 1
        end
      ensure
        consumer&.close
      end
    end

    def save(result, partition, offset)
      result.messages += 1
      result.violations += 1 if offset <= @saved[partition]
      @saved[partition] = offset
    end
  end
end
