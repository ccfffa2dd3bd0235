# frozen_string_literal: true

module WorkShaper
  module Testing
    # Gives the messages of the partitions that a pool has: of each partition in order, of which one next at random.
    #
    # @private
    class Intake
      # @param broker [Broker]
      # @param revoked [Array<String>] partitions that others have
      # @param random [Random]
      def initialize(broker, revoked, random)
        @broker = broker
        @revoked = revoked
        @random = random
        @next = {}
      end

      # @return [Message, nil] a copy of the next one; nil: there is none
      def take
        names = open
        return if names.empty?

        name = names[@random.rand(names.size)]
        index = position(name)
        @next[name] = index + 1
        Broker.copy(@broker.partitions[name][index])
      end

      # Whether there is another one.
      def any?
        open.any?
      end

      # Whether its work was finished before the partition came.
      def finished?(message)
        @broker.partitions[Pool.name_of(message)].finished?(message.offset)
      end

      # Of a partition that comes or goes: it begins where the group is then.
      def forget(name)
        @next.delete(name)
      end

      # Takes nothing more.
      def close
        @closed = true
      end

      private

      def open
        return [] if @closed

        @broker.partitions.keys.select { |name| !@revoked.include?(name) && @broker.partitions[name][position(name)] }
      end

      def position(name)
        @next[name] ||= @broker.partitions[name].beginning
      end
    end
  end
end
