# frozen_string_literal: true

require "work_shaper/consumer"

require_relative "progress"
require_relative "work"

module Demo
  # What becomes of messages whose work fails: some fail twice and are tried again, some fail for ever and go to a
  # dead-letter topic. Meanwhile their keys wait, and all others go on.
  class Failing
    TWICE = 20 # every twentieth message
    FOR_EVER = 100

    # `retried`: how often work was tried again; `dead`: how many messages went to the dead-letter topic.
    Result = Struct.new(:retried, :dead, :messages, :violations, :committed, keyword_init: true)

    def initialize(group, work, total, dead_letters)
      @group = group
      @work = work
      @total = total
      @consumer = WorkShaper::Consumer.new(config: group.config, topics: group.topic, concurrency: InParallel::WORKERS,
                                           attempts: 3, wait: 0.02..0.1, give_up: dead_letters, on_error: ->(*) {},
                                           breaker: false, # at the end, most tries are those that fail
                                           signals: false) { |message| work_on(message) }
    end

    def run
      progress = Progress.new("failing", @total)
      running = Thread.new { @consumer.run }
      running.report_on_exception = false
      progress.reach(over) until running.join(0.05) || over == @total
      stop
      running.join
      progress.reach(over)
      progress.stop
      result
    end

    def stop
      @consumer.stop
    end

    private

    def work_on(message)
      raise "fails for ever" if (message.offset % FOR_EVER) == 7
      raise "fails twice" if (message.offset % TWICE) == 3 && message.attempt < 3

      @work.call(message)
    end

    def over
      @work.done + @consumer.stats.fetch(:total_dead_lettered, 0)
    end

    def result
      stats = @consumer.stats
      Result.new(retried: stats[:total_retried], dead: stats[:total_dead_lettered], messages: over,
                 violations: @work.result.violations, committed: @group.committed)
    end
  end
end
