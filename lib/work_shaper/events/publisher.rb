# frozen_string_literal: true

module WorkShaper
  module Events
    # Publishes the events of one manager or consumer, with what they have in common.
    #
    # @private
    class Publisher
      # @return [Hash{Symbol => Object}] what is in each event
      attr_reader :about

      # @param about [Hash{Symbol => Object}]
      def initialize(**about)
        @about = about.freeze
        @told = {}
      end

      # @param event [Symbol]
      # @yieldreturn [Hash{Symbol => Object}] what else is known of it; called only if anyone may listen
      def publish(event)
        Events.publish(event) { { **@about, **yield } }
      end

      # The same, unless it was told before.
      def publish_once(event, &more)
        publish(event, &more) unless @told[event]
        @told[event] = true
      end
    end
  end
end
