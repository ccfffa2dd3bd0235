# frozen_string_literal: true

module WorkShaper
  class Consumer
    class DeadLetters
      # What is sent for a failure: a pure function, which knows no Kafka.
      #
      # Key, value, timestamp and headers are those of the message, and headers of ours say what happened, named as in
      # KIP-1191 (those of an earlier pass are replaced). Where tries are traced, the headers that carry the trace are
      # those of the last one. What `produce` of the rdkafka gem cannot send, goes as what is closest: a header without
      # a value as an empty one; headers of the same name, which may have stood between others, one after the other; a
      # timestamp of 0 (1970 to the millisecond) as the time of sending.
      #
      # @private
      module Letter
        PREFIX = "__dlq.errors."

        # What is sent, the largest first: everything; without the backtrace; with the texts cut, too.
        SIZES = %i[whole without_backtrace cut].freeze

        BACKTRACE_LINES = 10
        BACKTRACE_BYTES = 4096
        CUT_BYTES = 200 # what is left of a text when it is cut

        class << self
          # @param failure [#message, #error, #attempts]
          # @param topic [String] where it goes
          # @param group [String, nil] the consumer's
          # @param size [Symbol] one of SIZES
          # @param headers [#call(failure), nil] gives other headers in the place of ours; size changes nothing then
          # @param now [Time]
          # @return [Hash{Symbol => Object}] for `produce`, all but the partition
          def build(failure, topic, group: nil, size: :whole, headers: nil, now: Time.now)
            message = failure.message
            added = headers ? asked(headers, failure) : ours(failure, group, size, now)
            parts = [kept(message.headers, headers), TraceHeaders.of(failure), added]
            { topic: topic, payload: message.payload, key: message.key, timestamp: milliseconds(message.timestamp),
              headers: parts.map { |part| sendable(part) }.reduce(:merge) }
          end

          # The next smaller size; nil when there is none. We do not know what of other headers can be left out.
          def smaller(size, headers)
            SIZES[SIZES.index(size) + 1] unless headers
          end

          # Any object's text as valid UTF-8.
          def utf8(text)
            text = String.new(text.to_s)
            text.force_encoding(Encoding::UTF_8) if [Encoding::BINARY, Encoding::US_ASCII].include?(text.encoding)
            text.encode(Encoding::UTF_8, invalid: :replace, undef: :replace).scrub
          rescue EncodingError # one that Ruby knows only by name
            text.force_encoding(Encoding::UTF_8).scrub
          end

          # Headers as `produce` of the rdkafka gem takes them. Names are bytes, so that the same name is the same key
          # whatever its encoding says.
          def sendable(headers)
            headers.to_h do |name, value|
              [name.to_s.b, value.is_a?(Array) ? value.map(&:to_s) : value.to_s]
            end
          end

          private

          # Other conventions may rely on what an earlier pass of ours, or a broker, has written.
          def kept(headers, replaced)
            replaced ? headers : headers.reject { |name, _value| name.start_with?(PREFIX) }
          end

          def asked(headers, failure)
            given = headers.call(failure)
            return given if given.is_a?(Hash)

            raise TypeError, "dead_letter_headers returned #{given.inspect}; it must return a Hash"
          end

          def ours(failure, group, size, now)
            fields = origin(failure.message, group).merge(error(failure.error, size))
            fields["delivery.count"] = failure.attempts
            fields["failed.at"] = milliseconds(now)
            fields.compact.to_h { |name, value| [PREFIX + name, utf8(value)] }
          end

          def origin(message, group)
            { "topic" => message.topic, "partition" => message.partition, "offset" => message.offset,
              "group" => group, "timestamp" => milliseconds(message.timestamp) }
          end

          def error(error, size)
            cause = Exception.instance_method(:cause).bind_call(error)
            texts = { "message" => message_of(error), "exception.cause" => cause && described(cause) }
            texts.transform_values! { |text| text && cut(text, CUT_BYTES) } if size == :cut
            texts["exception.class"] = class_of(error)
            texts["backtrace"] = backtrace_of(error) if size == :whole
            texts
          end

          def described(error)
            "#{class_of(error)}: #{message_of(error)}"
          end

          # An exception's own methods may raise.
          def class_of(error)
            utf8(Module.instance_method(:to_s).bind_call(Kernel.instance_method(:class).bind_call(error)))
          end

          def message_of(error)
            Guard.run(->(_) { "(its message cannot be had)" }) { utf8(error.message) }
          end

          def backtrace_of(error)
            lines = Exception.instance_method(:backtrace).bind_call(error)&.first(BACKTRACE_LINES)
            lines && cut(lines.map { |line| utf8(line) }.join("\n"), BACKTRACE_BYTES)
          end

          # No more than so many bytes, all characters whole.
          def cut(text, bytes)
            text.bytesize > bytes ? text.byteslice(0, bytes).scrub("") : text
          end

          # As Kafka counts time. Of a Float, some would be one less.
          def milliseconds(time)
            time && (time.to_r * 1000).floor
          end
        end
      end

      private_constant :Letter
    end
  end
end
