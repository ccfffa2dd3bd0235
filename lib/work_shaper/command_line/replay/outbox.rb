# frozen_string_literal: true

module WorkShaper
  module CommandLine
    class Replay
      # Sends letters, those of a key one after the other, each when a broker has confirmed the one before.
      #
      # @private
      class Outbox
        CONCURRENCY = 50 # keys of which a letter is under way
        CLOSING_TIME = 5 # seconds

        # What came of a batch: the letters that were confirmed, and what was first wrong with another one.
        Result = Struct.new(:confirmed, :error)

        # @param settings [Hash{String => String}] librdkafka's
        # @param partitioner [String] librdkafka's name
        def initialize(settings, partitioner)
          config = Consumer.const_get(:DeadLetters).const_get(:Producer).config(settings)
          @config = { **config, "partitioner" => partitioner }
          @confirmed = Thread::Queue.new
          @batches = Batches.new(concurrency: CONCURRENCY, heartbeat_period_sec: nil) { |row| deliver(*row) }
        end

        # Waits until each of them is confirmed, or could not be sent; the later ones of its key are left out then.
        #
        # @param rows [Array<Array(Letter, String)>] letters, and to which topic they go
        # @return [Result]
        def send_all(rows)
          @producer ||= Consumer.const_get(:ClientConfig).new(@config).producer
          @batches.process(rows, sub_key: ->(row) { row.first.message.key && [row.last, row.first.message.key] })
          Result.new(confirmed, nil)
        rescue Error => e
          Result.new(confirmed, e)
        end

        # What is still under way is given up.
        def close
          @batches.shutdown(timeout: CLOSING_TIME)
          @producer&.purge
        ensure
          @producer&.close
        end

        private

        def confirmed
          Array.new(@confirmed.size) { @confirmed.pop }
        end

        # When brokers are away, one letter waits for them, and the others for nothing.
        def deliver(letter, topic)
          raise Error, "#{letter} was not sent: #{@away.message}" if @away

          @producer.produce(**letter.to_send(topic)).wait
          @confirmed << letter
        rescue Rdkafka::RdkafkaError => e
          @away = e if e.code == :msg_timed_out
          raise Error, "#{letter} could not be sent to #{topic}: #{e.message}"
        end
      end

      private_constant :Outbox
    end
  end
end
