# frozen_string_literal: true

module WorkShaper
  class Consumer
    # How the member stands with its group, beside the partitions that it has: whether a rebalance goes on and on, and
    # whether the group has put it out without librdkafka doing anything about it (decision 71).
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

      # @param pass_on [Boolean] whether the application has asked for librdkafka's statistics
      def initialize(pass_on:)
        @pass_on = pass_on
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

      # Whether it has no place in its group any more, and librdkafka does not join again.
      #
      # @param assignment [Assignment]
      def orphaned?(assignment)
        since, = same_orphan(assignment)
        !since.nil? && now - since >= ORPHANED_AFTER
      end

      private

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
