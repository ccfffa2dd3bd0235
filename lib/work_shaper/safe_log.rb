# frozen_string_literal: true

require_relative "guard"
require_relative "log_writer"

module WorkShaper
  # Writes lines to the log. A logger that raises (a full disk, a closed stream) is no reason to stop, and one that does
  # not return (a pipe that nobody reads) is none to wait for.
  #
  # @private
  module SafeLog
    LONGEST = 1000 # characters of what others wrote: the message of an exception may hold whatever the work was about
    CAUSES = 10 # of an exception, that are looked at
    private_constant :LONGEST, :CAUSES

    class << self
      # The fields, or a block that makes them if they are wanted. For threads that must go on: see {LogWriter}.
      %i[info warn error].each do |level|
        define_method(level) do |**fields, &block|
          writer.write { write(level, (fields unless block), &block) }
          nil
        end
      end

      # The same on the calling thread, which waits for the logger: what is told of a message is told by who has it, and
      # may be told of thousands.
      def write(level, fields = nil)
        Guard.run(->(_) {}) do
          next WorkShaper.logger.public_send(level, fields.compact) if fields

          WorkShaper.logger.public_send(level) { yield.compact }
        end
        nil
      end

      # Waits, not for long, until all lines are written.
      def flush
        writer.flush
      end

      # An exception goes as it is to a logger that has a place for it; any other one gets its backtrace as text.
      #
      # @return [Hash] the fields that tell of an exception
      def details(error)
        text = { error: describe(error) }
        return { **text, exception: error } if takes_exceptions? && short?(error)

        backtrace = Exception.instance_method(:backtrace).bind_call(error)
        { **text, backtrace: backtrace&.first(10)&.map { |line| cut(line) } }
      end

      # @return [String] an exception in one line, even one whose own methods raise
      def describe(error)
        Guard.run(->(_) { "#{Kernel.instance_method(:class).bind_call(error)}, whose message cannot be had" }) do
          "#{error.class}: #{cut(error.message)}"
        end
      end

      # @return [String] its beginning, and how much was cut off
      def cut(text)
        text = text.to_s
        more = text.length - LONGEST
        more.positive? ? "#{text[0, LONGEST]}... (#{more} more characters)" : text
      end

      # @return [nil] a line about an exception
      def trouble(text, error)
        error(message: text, **details(error))
      end

      private

      def writer
        @writer = new_writer if @writer.forked?
        @writer
      end

      def new_writer
        LogWriter.new do |count|
          write(:warn, { message: "Lines were dropped: the logger did not take them in time", dropped: count })
        end
      end

      # As semantic_logger's methods do: (message, payload, exception).
      def takes_exceptions?
        logger = WorkShaper.logger
        logger.respond_to?(:error) && logger.method(:error).parameters.any? { |_, name| name == :exception }
      rescue StandardError
        false
      end

      # Whether neither its message nor that of a cause has to be cut: such a logger writes them all.
      def short?(error)
        Guard.run(->(_) { false }) do
          causes = [error]
          causes << causes.last.cause while causes.size <= CAUSES && causes.last.cause
          causes.all? { |cause| cause.message.to_s.length <= LONGEST }
        end
      end
    end

    @writer = new_writer
  end

  private_constant :SafeLog
end
