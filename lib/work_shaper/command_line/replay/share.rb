# frozen_string_literal: true

module WorkShaper
  module CommandLine
    class Replay
      # What the group gives a replay. Two of them share the partitions of a topic, and neither sends what the other one
      # does.
      #
      # @private
      class Share
        # @return [Consumer::Rebalance::Change, nil] partitions that are to come; it has to be carried out
        attr_reader :coming

        # Called inside take. All that was sent is committed then.
        def rebalance(change)
          @coming = nil
          return @coming = change if change.coming? && !@leaving

          @lost = true
          change.carry_out
        end

        # There is nothing left to be carried out.
        def proceed; end

        # Whether all partitions went since they were taken.
        def lost?
          @lost
        end

        # They are taken.
        def taken
          @coming = nil
          @lost = false
        end

        # What comes from now on is given back.
        def leave
          @leaving = true
        end
      end

      private_constant :Share
    end
  end
end
