# frozen_string_literal: true

module WorkShaper
  module Testing
    # What Kafka has of a partition: its messages, and what the group has committed: the next offset, and which offsets
    # beyond it are finished.
    #
    # @private
    class PartitionLog
      # @return [Integer, nil] the next offset to be read; nil: nothing is committed
      attr_reader :committed

      def initialize
        @messages = []
        @finished = {}
      end

      def next_offset
        @messages.empty? ? 0 : @messages.last.offset + 1
      end

      # @raise [ArgumentError] its offset is not above those before it
      def append(message)
        if message.offset < next_offset
          raise ArgumentError, "a message of #{Pool.name_of(message)} has the offset #{message.offset}, which is not " \
                               "above #{next_offset - 1} before it; offsets of a partition grow"
        end

        @messages << message
      end

      # @param finished [Array<Integer>] what is finished beyond the offset
      def commit(offset, finished)
        @committed = offset
        @finished = finished.to_h { |beyond| [beyond, true] }
      end

      # @return [Message, nil] the one at an index
      def [](index)
        @messages[index]
      end

      # @return [Integer] the index at which a new owner of the partition begins
      def beginning
        @messages.bsearch_index { |message| message.offset >= (@committed || 0) } || @messages.size
      end

      # Whether the work of an offset was finished before that.
      def finished?(offset)
        @finished.key?(offset)
      end

      def offset?(offset)
        found = @messages.bsearch { |message| message.offset >= offset }
        !found.nil? && found.offset == offset
      end
    end
  end
end
