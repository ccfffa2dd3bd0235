# frozen_string_literal: true

require "work_shaper/consumer"

require_relative "progress"
require_relative "work"

module Demo
  # The same work with WorkShaper::Consumer. A message's key is its sub key.
  class InParallel
    WORKERS = 100

    # `drain`: when it is interrupted, all that it took is worked on, so that what is worked on is what is committed.
    def initialize(group, work, total)
      @group = group
      @work = work
      @total = total
      @consumer = WorkShaper::Consumer.new(config: group.config, topics: group.topic, concurrency: WORKERS,
                                           drain: true, signals: false) do |message|
        work.call(message)
      end
    end

    def run
      progress = Progress.new("WorkShaper", @total)
      running = Thread.new { @consumer.run }
      running.report_on_exception = false
      progress.reach(@work.done) until running.join(0.05) || @work.done == @total
      stop
      running.join
      progress.reach(@work.done)
      progress.stop
      @work.result(committed: @group.committed)
    end

    def stop
      @consumer.stop
    end
  end
end
