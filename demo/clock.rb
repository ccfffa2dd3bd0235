# frozen_string_literal: true

module Demo
  # Seconds of a clock that is never set back.
  module Clock
    def self.now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
