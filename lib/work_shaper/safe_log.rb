# frozen_string_literal: true

require_relative "guard"

module WorkShaper
  # Writes lines to the log. A logger that raises (a full disk, a closed stream) is no reason to stop.
  #
  # @private
  module SafeLog
    class << self
      %i[info warn error].each do |level|
        # The fields, or a block that makes them if they are wanted.
        define_method(level) do |**fields, &block|
          Guard.run(->(_) {}) do
            next WorkShaper.logger.public_send(level, fields.compact) unless block

            WorkShaper.logger.public_send(level) { block.call.compact }
          end
        end
      end

      # @return [Hash] the fields that tell of an exception
      def details(error)
        { error: describe(error), backtrace: Exception.instance_method(:backtrace).bind_call(error)&.first(10) }
      end

      # @return [String] an exception in one line, even one whose own methods raise
      def describe(error)
        Guard.run(->(_) { "#{Kernel.instance_method(:class).bind_call(error)}, whose message cannot be had" }) do
          "#{error.class}: #{error.message}"
        end
      end

      # @return [nil] a line about an exception
      def trouble(text, error)
        error(message: text, **details(error))
        nil
      end
    end
  end

  private_constant :SafeLog
end
