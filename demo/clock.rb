# frozen_string_literal: true

module Demo
  # Seconds of a clock that nobody sets back.
  module Clock
    def self.now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
