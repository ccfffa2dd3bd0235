# frozen_string_literal: true

require "ruby-progressbar"

require_relative "clock"
require_relative "failure"

module Demo
  # The progress bar of one of the ways to consume. Only the thread that made it may use it.
  class Progress
    FORMAT = "%t |%B| %c/%C, %a"
    PATIENCE_SEC = 20

    def initialize(title, total)
      @bar = ProgressBar.create(title: title.ljust(10), total: total, format: FORMAT, throttle_rate: 0.1,
                                autofinish: false)
      @moved_at = Clock.now
    end

    # Raises Failure when nothing moved for too long.
    def reach(count)
      @moved_at = Clock.now if count > @bar.progress
      @bar.progress = count
      raise Failure, "no message came for #{PATIENCE_SEC} s" if Clock.now - @moved_at > PATIENCE_SEC
    end

    # A bar that is not full stays as it is.
    def stop
      @bar.progress == @bar.total ? @bar.finish : @bar.stop
    end
  end
end
