# frozen_string_literal: true

module WorkShaper
  module CommandLine
    class Replay
      # Which letters of a partition are back where they came from, as a consumer notes what it has finished: up to a
      # frontier all, and beyond it those in a map. So what is left behind (letters of another class, say) stays what
      # the next replay begins with, and nothing of the rest is sent again.
      #
      # @private
      class Ledger
        Committed = Consumer.const_get(:OffsetList)::Committed
        private_constant :Committed

        # @return [Integer] where the partition ended when the replay began
        attr_reader :end

        # @return [Integer] where it begins
        attr_reader :base

        # @param base [Integer]
        # @param log_end [Integer]
        # @param row [Consumer::OffsetList::Committed, nil] what is committed
        def initialize(base, log_end, row)
          @base = @begin = base
          @end = log_end
          @next = base
          @runs = []
          map = OffsetMap.decode(row.metadata.to_s, row.offset) if row
          @map = map unless map.is_a?(Symbol)
        end

        def initialize_copy(other)
          super
          @runs = @runs.map(&:dup)
        end

        # How many offsets there are in all, and how many have been gone through.
        def size
          @end - @begin
        end

        def passed
          @next.clamp(@begin, @end) - @begin
        end

        # Whether it is one for this replay.
        def covers?(message)
          message.offset >= @next && message.offset < @end
        end

        # Whether it was sent by a replay before. To be asked of each message, in order.
        def sent?(message)
          @map = nil unless @map.nil? || same_log?(message)
          !@map.nil? && @map.finished?(message.offset)
        end

        # Notes what has become of the next message.
        def note(message, sent)
          @last = [message.offset, *message.send(:fingerprint)]
          @leader_epoch = [@leader_epoch, message.leader_epoch].compact.max
          sent ? note_sent(message.offset) : @first_left ||= @last
          @sent = sent
          @next = message.offset + 1
        end

        # Nothing up to its end is left to read.
        def finish
          @next = @end
        end

        def finished?
          @next >= @end
        end

        # Whether more is known to be sent beyond what was read, and nothing before it is left: there is no message that
        # a map could hang on, until the next one has been read.
        def open?
          @first_left.nil? && beyond.any? && !finished?
        end

        # What is to be committed. While it is open, the last letter that was sent counts as if it were left.
        #
        # @return [Consumer::OffsetList::Committed]
        def row
          anchor = @first_left || (@last if open?)
          return Committed.new(@base) unless anchor

          offset, timestamp, hash = anchor
          Committed.new(offset, OffsetMap.encode(offset, all_runs.flatten, offset, timestamp, hash, nil,
                                                 @leader_epoch || -1))
        end

        # Whether all of it can be committed: there is room for some thousands of gaps.
        def fits?
          runs = all_runs
          return true if @first_left.nil? || runs.empty?

          row = self.row
          !row.metadata.nil? && OffsetMap.decode(row.metadata, row.offset).last == runs.last.last
        end

        private

        def same_log?(message)
          anchor = @map.anchor
          return false if (message.leader_epoch || -1) > @map.leader_epoch && @map.leader_epoch >= 0

          message.offset < anchor.first || @proven ||= anchor == [message.offset, *message.send(:fingerprint)]
        end

        def note_sent(offset)
          if @first_left.nil? then @base = offset + 1
          elsif @sent then @runs.last[1] = offset # between the two there is no message
          else
            @runs << [offset, offset]
          end
        end

        def all_runs
          rest = beyond
          return @runs + rest unless @sent && @runs.any? && rest.any? && rest.first.first == @next

          [*@runs[0...-1], [@runs.last.first, rest.first.last], *rest.drop(1)]
        end

        # What the map of before says of what has not been read yet.
        def beyond
          return [] unless @map

          @map.runs.each_slice(2).filter_map { |first, last| [[first, @next].max, last] if last >= @next }
        end
      end

      private_constant :Ledger
    end
  end
end
