# frozen_string_literal: true

module WorkShaper
  module Testing
    # The messages of one sub key: one that runs, and those that wait, in order.
    #
    # @private
    class SubKey
      # A message under way. `tries`: how often it was worked on or given up; `work`: the last of these; `again`: it is
      # given up again; `revoked`: its partition went while it ran.
      Item = Struct.new(:message, :partition, :offset, :sub_key, :sequence, :tries, :work, :failure, :again, :probe,
                        :revoked, :over) do
        # Which attempt the next one is.
        def attempt
          failure ? failure.attempt : 1
        end

        def giving_up?
          !failure.nil? && failure.giving_up?
        end
      end

      attr_reader :key, :id, :items
      # The item that runs, or that a worker has by now.
      attr_accessor :running
      # When its first item is to be tried again (a Time); nil: it does not wait for that.
      attr_accessor :due

      # @param key [Object] a message that has none: that message
      # @param id [Integer] the same for each of this key
      def initialize(key, id)
        @key = key
        @id = id
        @items = []
      end

      # Whether its first item may start although work is held.
      def exempt?
        items.first.giving_up?
      end

      # Where its first item stands among others that may start.
      def rank
        items.first.sequence
      end
    end
  end
end
