# frozen_string_literal: true

module WorkShaper
  class Web
    # The numbers of all that is at work in this process, as what JSON can express.
    #
    # @private
    module Overview
      KEYS = %i[sub_key oldest_sub_key].freeze # what may be a customer's id

      class << self
        # @param keys [Boolean] whether there are sub keys in it
        # @return [Hash]
        def to_h(keys:)
          { version: VERSION, pid: Process.pid, at: Time.now.utc.strftime("%FT%T.%LZ"),
            consumers: Census.consumers.map { |consumer| plain(of_consumer(consumer), keys) },
            managers: Census.managers.map { |manager| plain(manager.stats, keys) },
            streams: Census.streams.map { |stream| plain(stream.stats, keys) } }
        end

        private

        def of_consumer(consumer)
          { group: consumer.group, healthy: consumer.healthy?, unready: consumer.unready, **consumer.stats,
            work: consumer.running.map { |row| row.except(:message) } }
        end

        def plain(value, keys)
          case value
          when Hash then value.to_h { |name, of| [text(name), shown(name, of, keys)] }
          when Array then value.map { |of| plain(of, keys) }
          when Histogram then plain(value.to_h, keys)
          when Integer, true, false, nil then value
          when Float then (value if value.finite?)
          when Time then value.utc.strftime("%FT%T.%LZ")
          else text(value)
          end
        end

        def shown(name, value, keys)
          plain(value, keys) if keys || !KEYS.include?(name)
        end

        def text(value)
          value.to_s.dup.force_encoding(Encoding::UTF_8).scrub("?")
        end
      end
    end

    private_constant :Overview
  end
end
