# frozen_string_literal: true

module WorkShaper
  class Consumer
    # How the member stands with its group, beside the partitions that it has: whether a rebalance goes on and on, and
    # whether the group has put it out, or will, without librdkafka doing anything about it (decisions 71 and 75).
    #
    # @private
    class Membership
      include Clock

      STEADY = "steady" # librdkafka's join state of a member that has what it is to have
      ORPHANED_AFTER = 2 # seconds without a member id. librdkafka gives up everything at once when it loses that
      TAIL = 4096 # bytes of librdkafka's statistics, behind the topics and partitions
      KEPT = 0 # the answer to them: librdkafka frees them

      # @return [String, nil] librdkafka's join state; nil: not known
      attr_reader :state

      # @param config [Hash] the client's
      def initialize(config)
        @pass_on = !config["statistics.interval.ms"].equal?(Options::STATISTICS) # the application asks for them
        @generations = config["group.protocol"] != "consumer" # KIP-848 has none
      end

      # Whether brokers refuse commits that were sent before the last rebalance.
      def generations?
        @generations
      end

      # librdkafka's callback for statistics. Called on the polling thread, inside take or close.
      #
      # @param json [FFI::Pointer]
      # @param size [Integer] its bytes
      # @return [Integer]
      def call(native, json, size, opaque)
        tail = [size, TAIL].min
        @state = json.get_bytes(size - tail, tail)[/"join_state":\s*"([^"]+)"/, 1]
        return KEPT unless @pass_on

        Rdkafka::Bindings::StatsCallback.call(native, json.read_string(size), size, opaque)
      end

      # librdkafka asks for a change. Called on the polling thread, inside take or close.
      #
      # @param change [Rebalance::Change]
      def asked_for(change)
        @forgotten ||= @generations && out_of_turn?(@asked_for, change)
        @asked_for = change
      end

      # To be called about every second, while there is a client.
      #
      # @param assignment [Assignment]
      # @param heard [Boolean] whether a broker has answered; an outage says nothing about the group
      # @yieldreturn [String] the member's id
      def look(assignment, heard)
        unsteady = heard && ![nil, STEADY].include?(state)
        @unsteady_since = (@unsteady_since || now if unsteady)
        orphaned = heard && settled?(assignment) && yield.empty?
        @orphan = (same_orphan(assignment) || [now, assignment.version] if orphaned)
      end

      # For how many seconds there has been a rebalance.
      #
      # @return [Numeric]
      def unsteady_sec
        since = @unsteady_since
        since ? now - since : 0
      end

      # Whether it has no place in its group any more, or will have none since librdkafka has forgotten that a rebalance
      # is over, and does not join again.
      #
      # @param assignment [Assignment]
      def orphaned?(assignment)
        since, = same_orphan(assignment)
        @forgotten || (!since.nil? && now - since >= ORPHANED_AFTER)
      end

      private

      # In a cooperative rebalance, once librdkafka was told of the partitions that went, those come that the same
      # rebalance brings. If others come, it has joined again in between, and waits for ever for those it left out.
      def out_of_turn?(going, coming)
        return false if going.nil? || going.coming? || going.lost? || !coming.coming? || !coming.incremental?

        !going.carried_out? || coming.generation > going.generation
      end

      def settled?(assignment)
        (assignment.partitions.any? || state == STEADY) && !assignment.changing?
      end

      # Since when, unless partitions have come or gone meanwhile.
      def same_orphan(assignment)
        orphan = @orphan
        orphan if orphan&.last == assignment.version
      end
    end

    private_constant :Membership
  end
end
