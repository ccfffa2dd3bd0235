# frozen_string_literal: true

require_relative "progress"
require_relative "work"

module Demo
  # Consumes as most programs do: poll, work, poll. A sample of the messages is enough to show its rate.
  class OneByOne
    def initialize(group, work, sample)
      @group = group
      @work = work
      @sample = sample
    end

    def run
      progress = Progress.new("one by one", @sample)
      consumer = Rdkafka::Config.new(@group.config).consumer
      consumer.subscribe(@group.topic)
      until @stopped || @work.done == @sample
        message = consumer.poll(100)
        @work.call(message) if message
        progress.reach(@work.done)
      end
      progress.stop
      @work.result
    ensure
      consumer&.close
    end

    def stop
      @stopped = true
    end
  end
end
