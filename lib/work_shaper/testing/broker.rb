# frozen_string_literal: true

module WorkShaper
  module Testing
    # What stands in for Kafka: the partitions of a session.
    #
    # @private
    class Broker
      FIELDS = %i[topic partition offset payload key headers timestamp leader_epoch].freeze

      # @raise [ArgumentError] a field that a message does not have
      def self.check_fields(fields)
        Settings.refuse_unknown(fields, FIELDS, called: "fields of a message")
      end

      # A copy, as Kafka would give it: whatever the work does to it, the next one is as it was written.
      def self.copy(message)
        Message.new(topic: message.topic, partition: message.partition, offset: message.offset, key: message.key,
                    payload: message.payload, headers: message.headers, timestamp: message.timestamp,
                    leader_epoch: message.leader_epoch)
      end

      # @return [Hash{String => PartitionLog}]
      attr_reader :partitions

      # @param subject [Subject]
      # @param clock [Clock]
      def initialize(subject, clock)
        @subject = subject
        @clock = clock
        @partitions = {}
      end

      # Writes messages, in order.
      #
      # @raise [TypeError, ArgumentError] one that cannot be; those before it are written
      def append(messages)
        unless messages.is_a?(Array)
          raise TypeError, "messages is #{messages.inspect}; it must be an Array of WorkShaper::Message or Hash"
        end

        messages.each { |message| write(message) }
      end

      # @return [Hash{String => Integer}]
      def committed
        @partitions.transform_values(&:committed).compact
      end

      # @return [Array<String>] ids of the messages that have this one, or this offset
      # @raise [TypeError, ArgumentError] there is none
      def ids(wanted)
        raise TypeError, refusal(wanted) unless wanted.is_a?(Integer) || wanted.is_a?(String)

        found = @partitions.select { |name, log| log.offset?(offset_in(name, wanted)) }.keys
        raise ArgumentError, "#{refusal(wanted)}; there is no such message" if found.empty?

        found.map { |name| "#{name}/#{offset_in(name, wanted)}" }
      end

      private

      def refusal(wanted)
        "crash has #{wanted.inspect}; it must be :after_each, or an Array of offsets (3) and ids (\"orders/0/3\")"
      end

      # -1: in no partition.
      def offset_in(name, wanted)
        return wanted if wanted.is_a?(Integer)

        place, _, offset = wanted.rpartition("/")
        place == name ? Integer(offset, 10, exception: false) || -1 : -1
      end

      def write(message)
        message = complete(message)
        @subject.check_topic(message.topic)
        (@partitions[Pool.name_of(message)] ||= PartitionLog.new).append(message)
      end

      def complete(message)
        case message
        when Message then Broker.copy(message)
        when Hash then made(message)
        else raise TypeError, "messages has #{message.inspect}; each must be a WorkShaper::Message or a Hash"
        end
      end

      def made(fields)
        Broker.check_fields(fields)
        fields = { topic: @subject.topic, partition: 0, timestamp: @clock.now, **fields }
        unless fields[:topic]
          raise ArgumentError, "a message has no topic; the consumer does not consume one by its name alone"
        end

        log = @partitions["#{fields[:topic]}/#{fields[:partition]}"]
        Message.new(offset: log ? log.next_offset : 0, **fields)
      end
    end
  end
end
