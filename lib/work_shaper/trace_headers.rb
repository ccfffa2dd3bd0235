# frozen_string_literal: true

module WorkShaper
  # How a trace goes on in a dead letter. Whoever traces the work leaves the headers that carry the trace on its error,
  # which lives as long as they are needed: nothing is to be remembered, or forgotten, for each message.
  #
  # @private
  module TraceHeaders
    VARIABLE = :@work_shaper_trace_headers

    class << self
      # Runs a block in the trace that headers carry: #call(headers) { }. Set by what traces, once that is loaded.
      attr_writer :continuation

      # @param error [Exception] what the work raised; a frozen one keeps nothing
      # @param message [Message]
      # @param headers [Hash{String => String}]
      def leave(error, message, headers)
        error.instance_variable_set(VARIABLE, [message.id, headers].freeze) unless error.frozen?
      end

      # One exception may have been raised for several messages: it has the headers of the last.
      #
      # @param failure [#message, #error]
      # @return [Hash{String => String}] empty: nobody traces the work, or they are those of another message
      def of(failure)
        id, headers = Kernel.instance_method(:instance_variable_get).bind_call(failure.error, VARIABLE)
        id && id == failure.message.id ? headers : {}
      end

      # Where the producer is traced, too, what it sends stays in the trace.
      #
      # @param headers [Hash{String => String, Array<String>}] those of a dead letter
      def continue(headers, &block)
        @continuation ? @continuation.call(headers, &block) : yield
      end
    end
  end

  private_constant :TraceHeaders
end
