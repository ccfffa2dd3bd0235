# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Whether Kafka answers, and the lines in the log about it: one when it goes, one a minute while it is away, one
    # when it is back.
    #
    # @private
    class Reachability
      include Clock

      PATIENCE = 1.5 # seconds without an answer, unless librdkafka says that all brokers are down
      TOLD_AGAIN = 60 # seconds between two lines

      # @return [Boolean, nil] nil: not known yet
      attr_reader :reachable

      # @return [Time, nil] since when
      attr_reader :since

      # @param fetch_time [Numeric] seconds for which a broker may keep an answer back, behind that to a fetch
      # @param events [Events::Publisher]
      def initialize(fetch_time, events)
        @patience = PATIENCE + fetch_time
        @events = events
      end

      # A broker has answered.
      def answered
        back if @reachable == false
        change(true) unless @reachable
        @answered_at = now
      end

      # Nobody has answered what was asked now.
      #
      # @param reports [Array<Client::Report>] what librdkafka said since the last answer
      def unanswered(reports)
        return if @reachable && !gone?(reports)
        return if @told_at && now - @told_at < TOLD_AGAIN && !@reachable

        reason = reason(reports)
        SafeLog.warn(message: @reachable ? "Kafka is away" : "Kafka is still away", away_sec: away_seconds,
                     reason: reason)
        gone(reason) if @reachable
        @told_at = now
      end

      # @return [Hash]
      def to_h
        { reachable: reachable, since: since }
      end

      private

      def back
        seconds = now - @answered_at
        SafeLog.info(message: "Kafka is back", away_sec: seconds.round)
        @events.publish(:kafka_back) { { away: seconds } }
      end

      def gone(reason)
        change(false)
        @events.publish(:kafka_away) { { reason: reason } }
      end

      # What librdkafka says may come late: behind messages for which there is no room.
      def gone?(reports)
        now - @answered_at > @patience || reports.any? { |report| report.code == :all_brokers_down }
      end

      def change(reachable)
        @reachable = reachable
        @since = Time.now
      end

      def away_seconds
        (now - @answered_at).round
      end

      # That all brokers are down says less than why.
      def reason(reports)
        (reports.reject { |report| report.code == :all_brokers_down }.last || reports.last)&.reason
      end
    end

    private_constant :Reachability
  end
end
