# frozen_string_literal: true

require "etc"

module WorkShaper
  class Web
    # The numbers of all that is at work in this process, as what JSON can express.
    #
    # What may be somebody's data is left out unless it is asked for: sub keys, and the text of errors, which often
    # quotes what the work was about. Of an error there is its class.
    #
    # @private
    module Overview
      DATA = { sub_key: :key, oldest_sub_key: :key, error: :error, fatal: :error }.freeze
      CLASS = /\A(?:.*? raised )?[\w:]*\w/m # of the error, in what is said about one
      LONGEST = 300 # characters of what others wrote

      class << self
        # @param keys [Boolean] whether there are sub keys and texts of errors in it
        # @param max_age [Numeric] see {Consumer#healthy?}
        # @return [Hash]
        def to_h(keys:, max_age:)
          rows = rows(max_age)
          concerns = Concerns.of(**rows, max_age: max_age)
          plain({ version: VERSION, pid: Process.pid, host: Etc.uname[:nodename], at: Time.now, keys: keys,
                  state: Concerns.state(rows, concerns), concerns: concerns, **rows }, keys)
        end

        private

        def rows(max_age)
          consumers = Census.consumers.sort_by { |consumer| [consumer.group, consumer.__id__] }
          { consumers: consumers.map { |consumer| of_consumer(consumer, max_age) },
            ended: Census.failed.map { |consumer| of_failed(consumer) },
            managers: Census.managers.sort_by(&:__id__).map { |manager| of_manager(manager) },
            streams: Census.streams.sort_by(&:__id__).map { |stream| of_manager(stream) } }
        end

        def of_consumer(consumer, max_age)
          { group: consumer.group, healthy: consumer.healthy?(max_age: max_age), unready: consumer.unready,
            **of_manager(consumer) }
        end

        def of_manager(manager)
          look = manager.__send__(:closer_look)
          look[:work]&.each { |row| row.delete(:message) }
          { id: manager.__id__, **manager.stats, **look }
        end

        def of_failed(consumer)
          { id: consumer.__id__, group: consumer.group, error: SafeLog.describe(consumer.failure),
            since: consumer.__send__(:ended_at) }
        end

        def plain(value, keys)
          case value
          when Hash then plain_hash(value, keys)
          when Array then value.map { |of| plain(of, keys) }
          when Histogram then plain(value.to_h, keys)
          when Integer, true, false, nil then value
          when Float then (value.round(6) if value.finite?)
          when Time then value.utc.strftime("%FT%T.%LZ")
          else text(value)
          end
        end

        def plain_hash(hash, keys)
          hash.each_with_object({}) do |(name, value), all|
            kind = DATA[name]
            name = text(name) unless Symbol === name
            all[name] = kind && !value.nil? ? data(kind, text(value), keys) : plain(value, keys)
          end
        end

        def data(kind, text, keys)
          return text if keys

          text[CLASS] if kind == :error
        end

        # The beginning of it, in UTF-8. (A sub key that is a number is a text, too: JavaScript has no large ones.)
        def text(value)
          text = Guard.run(->(_) { "?" }) { value.to_s }
          more = text.length - LONGEST
          text = text[0, LONGEST] if more.positive?
          text = utf8(text)
          more.positive? ? "#{text}... (#{more} more characters)" : text
        end

        # Bytes that are no text are shown as such.
        def utf8(text)
          return text.encode(Encoding::UTF_8) if text.encoding.ascii_compatible? == false

          text.dup.force_encoding(Encoding::UTF_8).scrub { |bytes| bytes.bytes.map { |byte| format("\\x%02X", byte) }.join }
        rescue EncodingError
          text.inspect
        end
      end
    end

    private_constant :Overview
  end
end
