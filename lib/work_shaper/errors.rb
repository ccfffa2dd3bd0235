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
end
