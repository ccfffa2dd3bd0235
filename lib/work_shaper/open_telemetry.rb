# frozen_string_literal: true

require_relative "../work_shaper"

begin
  require "opentelemetry-api"
rescue LoadError => e
  raise unless e.path == "opentelemetry-api"

  raise LoadError, "work_shaper/open_telemetry needs the opentelemetry-api gem: bundle add opentelemetry-api"
end

require_relative "open_telemetry/headers"
require_relative "open_telemetry/tracer"

module WorkShaper
  # Traces: a span for each try of a message's work, in the trace that the message's headers carry.
  #
  # With `open_telemetry: true` a {Consumer} traces by itself, and knows its group. {.tracer} is for those who want to
  # say more. Both need the opentelemetry-api gem; where spans go, the application says, with the SDK.
  #
  # @see https://opentelemetry.io/docs/specs/semconv/messaging/kafka/ The conventions, of which these are 1.45.0
  module OpenTelemetry
    class << self
      # What a consumer's `around` takes: a callable that makes a consumer span around the work.
      #
      # * Name and kind: "process orders", consumer. Attributes: `messaging.system.name` (and `messaging.system`, as it
      #   was called before 1.45), `messaging.operation.name`, `messaging.operation.type`, `messaging.destination.name`,
      #   `messaging.destination.partition.id`, `messaging.consumer.group.name`, `kafka.offset`,
      #   `kafka.message.tombstone`, `kafka.message.key`, and `work_shaper.attempt`.
      # * Parent: the span of who sent the message, as the propagators read it from the headers (of several headers of
      #   one name, from the last), so the trace goes on, sampled as its beginning is. Where another span is current,
      #   that is the parent. The conventions ask for a link to the sender's span in both cases.
      # * What the work raises, whatever it is, is recorded, makes the span an error and is raised on, unchanged. A
      #   killed thread makes it an error, too; a `throw` does not.
      # * A dead letter has the context of the last try that failed in the place of the message's own.
      # * What goes wrong here (a broken header, a span processor that raises) goes to `OpenTelemetry.handle_error`. It
      #   never makes the work fail.
      #
      # @param group [String, nil] the consumer group; nil: the spans do not tell
      # @param keys [Boolean] whether spans have the messages' keys, if they are UTF-8: they may be customers' ids
      # @param around [#call(message, &work), nil] what the work runs inside, within the span, as for a {Consumer}. One
      #   that traces already is returned as it is
      # @return [#call(message, &work)] returns what the work, or `around`, returns
      # @raise [TypeError] group is no String, or around does not answer call
      # @raise [ArgumentError] around is a lambda or a Method that cannot take the message and the block
      # @raise [LoadError] there is no opentelemetry-api gem (when this module is first named)
      # @example
      #   tracer = WorkShaper::OpenTelemetry.tracer(group: "orders", keys: true)
      #   WorkShaper::Consumer.new(config: config, topics: "orders", around: tracer) { |message| Order.handle(message) }
      def tracer(group: nil, keys: false, around: nil)
        around.is_a?(Tracer) ? around : Tracer.new(group: group, keys: keys, around: around)
      end

      # The current context, with what the headers carry in it.
      #
      # @!visibility private
      def context
        safely { ::OpenTelemetry.propagation.extract(yield, getter: Headers) } || ::OpenTelemetry::Context.current
      end

      # That a trace is not complete must not make work fail, or be done again.
      #
      # @!visibility private
      def safely(&block)
        Guard.run(->(error) { tell(error) }, &block)
      end

      private

      def tell(error)
        ::OpenTelemetry.handle_error(exception: error, message: "work_shaper: a span is not complete")
        nil
      end
    end

    TraceHeaders.continuation = lambda do |headers, &block|
      ::OpenTelemetry::Context.with_current(context { headers }) { block.call }
    end
  end
end
