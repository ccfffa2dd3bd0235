# frozen_string_literal: true

module WorkShaper
  class Web
    # Why the process is to be restarted, or gets no messages: one sentence for each consumer of which that is so.
    #
    # @private
    module Probe
      class << self
        # @param max_age [Numeric]
        # @return [Array<String>]
        def dead(max_age)
          failed = Census.failed.map { |consumer| "#{consumer.group}: it has ended: #{reason(consumer.failure)}" }
          ill = Census.consumers.reject { |consumer| consumer.healthy?(max_age: max_age) }
          failed + ill.map { |consumer| "#{consumer.group}: #{illness(consumer, max_age)}" }
        end

        # @return [Array<String>]
        def unready
          return ["no consumer and no manager runs"] if Census.consumers.empty? && Census.managers.empty?

          Census.consumers.filter_map { |consumer| (why = consumer.unready) && "#{consumer.group}: #{why}" }
        end

        private

        # Without its words, which may be about the message: whoever is to know finds them in the log.
        def reason(failure)
          [failure, failure.cause].compact.map(&:class).join(": ")
        end

        def place(row)
          "#{row[:topic]}/#{row[:partition]}:#{row[:offset]}"
        end

        # What it is in detail, as far as the numbers tell.
        def illness(consumer, max_age)
          stuck = consumer.running.select { |row| row[:seconds] >= max_age }
          return "stuck at #{stuck.map { |row| place(row) }.join(", ")}" if stuck.any?

          troubles = consumer.stats[:troubles].map { |place, trouble| "#{place} (#{trouble[:error]})" }
          return "nothing comes in of #{troubles.join(", ")}" if troubles.any?

          consumer.unready || "its poll loop does not turn"
        end
      end
    end

    private_constant :Probe
  end
end
