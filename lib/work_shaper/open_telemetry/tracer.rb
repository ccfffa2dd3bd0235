# frozen_string_literal: true

module WorkShaper
  module OpenTelemetry
    # What {OpenTelemetry.tracer} returns. It remembers nothing of a message.
    #
    # @private
    class Tracer
      FIXED = {
        "messaging.system.name" => "kafka",
        "messaging.system" => "kafka", # its name before 1.45, by which most backends know a span about messages
        "messaging.operation.name" => "process",
        "messaging.operation.type" => "process"
      }.freeze

      OTHER = "_OTHER" # the error.type of what has no class with a name
      KILLED = "the thread was killed"

      def initialize(group:, keys:, around:)
        @around = Callbacks.check(:around, around) unless around.nil?
        @keys = keys
        @attributes = { **FIXED, "messaging.consumer.group.name" => group && text(checked(group)) }.compact.freeze
        @tracer = ::OpenTelemetry.tracer_provider.tracer("work_shaper", VERSION)
      end

      def call(message, &work)
        span, context = safely { start(message) }
        span ? trace(span, context, message, &work) : inside(message, &work)
      end

      def inspect
        "#<#{self.class}>"
      end

      private

      def checked(group)
        group.is_a?(String) ? group : raise(TypeError, "group is #{group.inspect}; it must be a String or nil")
      end

      # A bare raise raises the very exception on. Of a killed thread only the ensure is run.
      def trace(span, context, message, &work)
        ::OpenTelemetry::Context.with_current(context) { inside(message, &work) }
      rescue Exception => e # rubocop:disable Lint/RescueException -- it is raised on
        safely { leave(e, message, context) }
        raise
      ensure
        safely { failed(span, e) } if e || Thread.current.status == "aborting"
        safely { span.finish }
      end

      def inside(message, &work)
        @around ? @around.call(message, &work) : yield
      end

      # The span, and the context in which the work runs.
      def start(message)
        ambient = ::OpenTelemetry::Trace.current_span
        context = OpenTelemetry.context { message.headers }
        sender = ::OpenTelemetry::Trace.current_span(context)
        context = with_span(ambient, context) if ambient.context.valid?
        span = @tracer.start_span("process #{message.topic}", with_parent: context, kind: :consumer,
                                                              attributes: attributes(message),
                                                              links: (link(sender) unless sender.equal?(ambient)))
        [span, with_span(span, context)]
      end

      def with_span(span, context)
        ::OpenTelemetry::Trace.context_with_span(span, parent_context: context)
      end

      def link(span)
        [::OpenTelemetry::Trace::Link.new(span.context)]
      end

      def attributes(message)
        attributes = @attributes.merge(
          "messaging.destination.name" => message.topic,
          "messaging.destination.partition.id" => message.partition.to_s,
          "kafka.offset" => message.offset,
          "work_shaper.attempt" => message.attempt
        )
        attributes["kafka.message.tombstone"] = true if message.payload.nil?
        key = text(message.key) if @keys
        attributes["kafka.message.key"] = key if key
        attributes
      end

      # First what is sure to succeed: an exception's own methods may raise.
      def failed(span, error)
        span.set_attribute("error.type", error&.class&.name || OTHER)
        description = error ? description_of(error) : KILLED
        span.status = ::OpenTelemetry::Trace::Status.error(description)
        span.record_exception(error, attributes: { "exception.message" => description }) if error
      end

      def leave(error, message, context)
        headers = {}
        ::OpenTelemetry.propagation.inject(headers, context: context)
        TraceHeaders.leave(error, message, headers)
      end

      # Exporters drop what is no UTF-8, and whatever goes with it.
      def description_of(error)
        Guard.run(->(_) { "" }) { SafeLog.cut(String.new(error.message, encoding: Encoding::UTF_8).scrub) }
      end

      # nil: these bytes are no text.
      def text(bytes)
        text = bytes && String.new(bytes, encoding: Encoding::UTF_8)
        text if text&.valid_encoding?
      end

      def safely(&block)
        OpenTelemetry.safely(&block)
      end
    end

    private_constant :Tracer
  end
end
