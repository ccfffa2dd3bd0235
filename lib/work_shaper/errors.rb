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

  # No broker could be talked to when a consumer began; the message has librdkafka's reason.
  class NoBroker < Error; end

  # The brokers do not accept a consumer's user name, password or token.
  class NotAllowed < Error; end

  # A topic does not exist.
  class NoTopic < Error; end

  # A stream was closed, and takes nothing more.
  class Closed < Error; end

  # A stream was cancelled: raised where somebody pushes or reads, and inside the work that nobody waits for any more.
  class Cancelled < Error; end

  # Pieces of a stream's work failed for good, and were collected: what is raised when all have run.
  #
  # @example
  #   rescue WorkShaper::Failures => e
  #     e.each { |failure| warn "#{failure.index}: #{failure.error.message}" }
  class Failures < Error
    include Enumerable

    # One input that failed.
    class Row
      # @return [Integer] its index
      attr_reader :index
      # @return [Object] what was pushed
      attr_reader :input
      # @return [Exception] what its work raised the last time
      attr_reader :error

      # @!visibility private
      def initialize(index, input, error)
        @index = index
        @input = input
        @error = error
      end
    end

    # @param rows [Array<Row>] by ascending index
    def initialize(rows)
      @rows = rows
      super("#{rows.size} of the inputs failed, the first at index #{rows.first&.index}")
    end

    # @yieldparam failure [Row]
    # @return [Enumerator, self]
    def each(&block)
      return enum_for(:each) unless block

      @rows.each(&block)
      self
    end

    # @return [Integer]
    def size
      @rows.size
    end
  end

  # A dead letter is too large for the broker, whatever is left out of it.
  class TooLarge < Error; end
end
