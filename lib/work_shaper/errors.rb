# frozen_string_literal: true

module WorkShaper
  # What a manager raises, wrong types and values aside (those are TypeError and ArgumentError).
  class Error < StandardError; end

  # The manager was asked to shut down, or did so by itself (see `stats[:fatal]`), and takes no more work.
  class ShuttingDown < Error; end

  # There was no room within the timeout, or none at once inside a callback.
  class Full < Error; end

  # The manager was made by the parent process. Make managers after forking.
  class ForkedProcess < Error; end

  # Raised by the work, it gives its message up at once, whatever attempts are left.
  #
  # @example
  #   raise WorkShaper::GiveUp, "no such account" unless account
  class GiveUp < Error; end

  # A message was given up, and that means to stop. Its cause is what the work raised.
  class GaveUp < Error; end

  # Raised inside work that takes longer than `timeout`.
  class Timeout < Error; end

  # A dead letter is too large for the broker, whatever is left out of it.
  class TooLarge < Error; end
end
