# frozen_string_literal: true

module WorkShaper
  class Consumer
    # The way into a group: a broker answers, and the topics that dead letters go to exist. What librdkafka says of why
    # no broker answers ends it, as soon as it says so.
    #
    # @private
    class Arrival
      include Clock

      FIRST_ANSWER_TIME = 100 # milliseconds for the first answer; twice as long for each that is asked for again
      ANSWER_TIME = 2000 # milliseconds for an answer at most, during which nobody looks for a stop
      PATIENCE = 1 # seconds in which another address of a broker, or another broker, may answer
      WRONG_LOGIN = %i[authentication sasl_authentication_failed].freeze
      WRONG_SETTINGS = %i[ssl].freeze
      NO_THREAD = %i[crit_sys_resource].freeze
      UNREACHABLE = %i[transport resolve all_brokers_down].freeze

      # @param client [Client]
      # @param options [Options]
      def initialize(client, options)
        @client = client
        @options = options
      end

      # Waits until a broker has answered.
      #
      # @yieldreturn [Boolean] whether it must not wait any longer
      # @raise [NotAllowed, NoBroker, ThreadError]
      def await_broker
        began = now
        time = FIRST_ANSWER_TIME
        until yield || @client.reachable?(time)
          Client.shielded { @client.take(1, 0) } # librdkafka says what is wrong
          refuse_hopeless(now - began)
          time = [time * 2, ANSWER_TIME].min
        end
      end

      # @raise [NoTopic, Error]
      def check_dead_letter_topics
        @options.policy.topics.each do |topic|
          name = @options.consumed_as(topic)
          raise Error, "dead-letter topic #{topic.inspect} is consumed here, as #{name.inspect}" if name
          next if @client.topic?(topic)

          raise NoTopic, "dead-letter topic #{topic.inspect} does not exist at #{@options.servers}; create it first"
        end
      end

      private

      def refuse_hopeless(seconds)
        wrong = report(WRONG_LOGIN) and raise NotAllowed, "#{@options.servers} does not let us in: #{wrong}"
        wrong = report(NO_THREAD) and raise ThreadError, "librdkafka: #{wrong}"
        wrong = report(WRONG_SETTINGS)
        wrong ||= report(UNREACHABLE) if seconds >= PATIENCE
        raise NoBroker, "no broker answered at #{@options.servers}: #{wrong}" if wrong
        return if @options.start_timeout.nil? || seconds < @options.start_timeout

        raise NoBroker, "no broker answered at #{@options.servers} within #{@options.start_timeout} s"
      end

      # The last of what librdkafka said; that all brokers are down says less than why.
      def report(codes)
        said = @client.reports.select { |report| codes.include?(report.code) }
        (said.reject { |report| report.code == :all_brokers_down }.last || said.last)&.reason
      end
    end

    private_constant :Arrival
  end
end
