# frozen_string_literal: true

module WorkShaper
  # The time, for waits and for ages. It never goes back.
  #
  # @private
  module Clock
    module_function

    # @return [Float] seconds
    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end

  private_constant :Clock
end
