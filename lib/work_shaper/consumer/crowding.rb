# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Which partitions take up so much room that the others would be left without: more than half of all messages or
    # bytes that there may be, or more than max_in_queue messages that wait on one of their sub keys. Only those that
    # have done so for a moment, and would for longer than it takes to fetch what comes next: what is quick needs no
    # help.
    #
    # @private
    class Crowding
      include Clock

      PERIOD = 0.02 # seconds between two looks while there is room
      PATIENCE = 0.05 # seconds for which a partition must have taken up too much
      LONG = 1.0 # seconds that it must take, as quick as it was, until it no longer does
      REFETCH = 0.5 # seconds that librdkafka needs after a pause for the next message

      # What a partition holds.
      Load = Struct.new(:name, :unfinished, :bytes, :crowded, :finished)

      # @param pool [Pool]
      # @param most [Integer] messages at most, of all partitions
      # @param least [Integer] as many as workers need. Half of all that is less is no share to be content with
      def initialize(pool, most, least)
        @pool = pool
        @most = most
        @share = most / 2 < least ? most : most / 2
        @looked_at = now
        @since = {}
        @rates = {}
        @reserving = false
      end

      # Whether it is time to look.
      def due?
        now - @looked_at >= PERIOD || @pool.unfinished > @share || @pool.bytes > @pool.max_bytes / 2
      end

      # Whether the last quarter is for the others: some partition holds more than half.
      def reserving?
        @reserving
      end

      # @param known [#key?] partitions that were found before
      # @param several [Boolean] whether there are others that could be left without room
      # @return [Hash{String => Load}] those that take up too much; of those that were found before, also those that
      #   still hold a good part of it
      def look(known, several)
        @looked_at = now
        @reserving = false
        rows = @pool.loads(*(known.empty? ? [@share, @pool.max_bytes / 2] : [0, 0])) || []
        loads = rows.to_h { |row| [row.first, Load.new(*row)] }
        [@since, @rates].each { |notes| notes.select! { |name,| loads.key?(name) } unless notes.empty? }
        loads.select { |name, load| known.key?(name) ? stays?(load) : comes?(load, several) }
      end

      private

      # As quick as it was since it was first seen to take up too much.
      def comes?(load, several)
        surplus = surplus(load, several)
        unless surplus.positive?
          @since.delete(load.name)
          return false
        end

        since, finished = @since[load.name] ||= [@looked_at, load.finished]
        seconds = @looked_at - since
        return false if seconds < PATIENCE

        @since.delete(load.name)
        @rates[load.name] = (load.finished - finished) / seconds
        surplus > @rates[load.name] * LONG
      end

      # How many messages must be finished until it holds no more than its share.
      def surplus(load, several)
        return load.crowded unless several

        messages = load.unfinished > @share ? load.unfinished - (@most / 4) : 0
        large = load.bytes > @pool.max_bytes / 2 ? surplus_by_bytes(load) : 0
        @reserving ||= messages.positive? || large.positive?
        [load.crowded, messages, large].max
      end

      # All of them, about, weigh the same.
      def surplus_by_bytes(load)
        load.unfinished * (load.bytes - (@pool.max_bytes / 4)) / load.bytes
      end

      # Until a quarter of the room is left to it and no sub key is crowded, or there is no more than it works on while
      # librdkafka fetches.
      def stays?(load)
        return false if load.unfinished <= @rates.fetch(load.name, 0) * REFETCH

        load.crowded.positive? || load.unfinished > @most / 4 || load.bytes > @pool.max_bytes / 4
      end
    end

    private_constant :Crowding
  end
end
