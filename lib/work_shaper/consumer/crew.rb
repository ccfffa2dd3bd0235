# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Runs several consumers side by side, with one set of signals, until all of them have ended. When one fails, the
    # others are stopped in order.
    #
    # @private
    class Crew
      # @param consumers [Array<Consumer>] those that were gathered: their signals are the crew's
      # @yieldparam consumer [Consumer] one that has ended
      # @yieldparam outcome [Boolean, Exception] what its run returned, or raised
      def initialize(consumers, &ended)
        @consumers = consumers
        @ended = ended
        @commands = Thread::Queue.new
        @left = consumers.size
      end

      # Returns when all have ended.
      #
      # @return [nil]
      def run
        Signals.trapped(@commands, Signals.stops) { Systemd.told { supervise } }
      end

      private

      def supervise
        threads = @consumers.map { |consumer| start(consumer) }
        execute(@commands.pop) until @left.zero?
      ensure
        stop unless @left.zero? # an exception was raised into this thread
        threads&.each(&:join)
      end

      def start(consumer)
        Thread.new do
          Thread.current.name = "work_shaper #{consumer.group}"
          @commands << [consumer, outcome(consumer)]
        end
      end

      def outcome(consumer)
        consumer.run
      rescue Exception => e # rubocop:disable Lint/RescueException -- also what is meant for the process ends all
        e
      end

      def execute(command)
        case command
        when :stop then obey_stop
        when Symbol then tell(command)
        else over(*command)
        end
      end

      # The first signal hurries nobody, even when the others are being stopped because one has failed.
      def obey_stop
        @asked ? tell(:stop) : stop
        @asked = true
      end

      def over(consumer, outcome)
        @left -= 1
        @ended.call(consumer, outcome)
        stop if outcome.is_a?(Exception)
      end

      def stop
        tell(:stop) unless @stopping
        @stopping = true
      end

      def tell(command)
        @consumers.each { |consumer| consumer.send(:command, command) }
      end
    end

    private_constant :Crew
  end
end
