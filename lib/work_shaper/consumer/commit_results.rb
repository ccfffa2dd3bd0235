# frozen_string_literal: true

module WorkShaper
  class Consumer
    # What the brokers answered to commits. Takes the place of librdkafka's own lines about refused ones, of which there
    # are ten a second for as long as brokers were away.
    #
    # @private
    class CommitResults
      include Clock

      NO_OFFSET = -168 # librdkafka's response when there was nothing to commit
      TOLD_AGAIN = 60 # seconds between two lines at least
      TOLD_AT_LAST = 10 # seconds after which refusals that do not stop are told
      MOST_STORED = 1000 # of a partition that are remembered until one of them is confirmed

      # @return [Integer] commits
      attr_reader :confirmed, :refused

      # @return [Time, nil]
      attr_reader :last_confirmed_at

      # @param events [Events::Publisher]
      def initialize(events = Events::Publisher.new)
        @events = events
        @confirmed = @refused = @told = 0
        @offsets = {}
        @stored = Hash.new([].freeze)
        @covered = Hash.new(0)
      end

      # librdkafka's callback. Called on the polling thread, inside take or close.
      #
      # @param code [Integer] librdkafka's response, for all partitions
      # @param offsets [FFI::Pointer] its list, with a response for each partition
      def call(_native, code, offsets, _opaque)
        return if code == NO_OFFSET

        refused = offsets.null? ? code.nonzero? : note_all(offsets, code)
        refused ? refuse(refused) : confirm
      end

      # What brokers confirmed last of a partition to this client; nil: nothing.
      #
      # @param place [Array(String, Integer)] topic and partition
      # @return [Integer, nil]
      def offset_of(place)
        @offsets[place]
      end

      # A commit was confirmed.
      def note(place, offset, metadata = nil)
        tell(:committed, place, offset) unless @offsets[place] == offset
        @offsets[place] = offset
        cover(place, offset, metadata)
      end

      # The offsets of the partition went back: it is another log.
      def forget(place)
        @offsets.delete(place)
        uncover([place])
      end

      # This may be committed from now on.
      #
      # @param covered [Integer, nil] how many messages whose work we finished are not repeated then
      # @return [true]
      def stored(place, offset, metadata, covered)
        @stored[place] = @stored[place].last(MOST_STORED - 1) << [offset, metadata, covered || 0]
        true
      end

      # How many messages whose work we finished are not repeated even if we are killed now.
      #
      # @return [Integer]
      def covered(place)
        @covered[place]
      end

      # The partitions go: what is still confirmed of them says nothing of their next assignment.
      def uncover(places)
        places.each { |place| [@stored, @covered].each { |of| of.delete(place) } }
      end

      # Writes a line about those that were refused since the last one: once no more of them come. (While the line is
      # written, others may be.)
      #
      # @param last [Boolean] whether nothing is to be waited for
      def tell_refused(last: false)
        refused = @refused
        more = refused != @seen
        @seen = refused
        return if refused == @told || !(last || due?(more))

        SafeLog.warn(message: "Kafka refused commits", refused: refused - @told,
                     error: Rdkafka::RdkafkaError.new(@code).message)
        @told = refused
        @told_at = now
      end

      # @return [Hash]
      def to_h
        { last_confirmed_at: last_confirmed_at, confirmed: confirmed, refused: refused }
      end

      private

      def due?(more)
        return false if @told_at && now - @told_at <= TOLD_AGAIN

        !more || now - @refused_at > TOLD_AT_LAST
      end

      def confirm
        @confirmed += 1
        @last_confirmed_at = Time.now
      end

      def refuse(code)
        @refused_at = now if @refused == @told
        @refused += 1
        @code = code
      end

      def cover(place, offset, metadata)
        index = @stored[place].rindex { |row| row.first == offset && row[1].to_s == metadata.to_s } or return
        @covered[place] = @stored[place][index].last
        @stored[place] = @stored[place].drop(index)
      end

      # Returns what was said of one that was refused, or nil.
      def note_all(offsets, code_of_all)
        refused = code_of_all.nonzero?
        OffsetList.each(offsets) do |place, offset, code, metadata|
          code = code_of_all if code.zero?
          next note(place, offset, metadata) if code.zero?

          refused ||= code
          tell(:commit_refused, place, offset, code)
        end
        refused
      end

      def tell(event, place, offset, code = nil)
        topic, partition = place
        @events.publish(event) do
          { topic: topic, partition: partition, offset: offset, error: code && Rdkafka::RdkafkaError.new(code) }.compact
        end
      end
    end

    private_constant :CommitResults
  end
end
