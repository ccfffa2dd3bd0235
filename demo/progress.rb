# frozen_string_literal: true

require "ruby-progressbar"

module Demo
  # The progress bar of one of the two ways to consume. Only the thread that made it may use it.
  class Progress
    FORMAT = "%t |%B| %c/%C, %a"

    def initialize(title, total)
      @bar = ProgressBar.create(title: title.ljust(10), total: total, format: FORMAT, throttle_rate: 0.1,
                                autofinish: false)
    end

    def reach(count)
      @bar.progress = count
    end

    # A bar that is not full stays as it is.
    def stop
      @bar.progress == @bar.total ? @bar.finish : @bar.stop
    end
  end
end
