# frozen_string_literal: true

require_relative "offset_command"

module WorkShaper
  module CommandLine
    # Has a group leave out the message at which it stands.
    #
    # @private
    class Skip < OffsetCommand
      USAGE = "skip GROUP TOPIC/PARTITION OFFSET [options]"
      ABOUT = <<~TEXT
        Has GROUP leave out the message at OFFSET, for good: one that can never succeed, and holds up its partition.
        OFFSET must be where the group stands, its committed offset (work_shaper lag shows it). What is finished beyond
        is not worked on again. Asks before, and refuses while the group has members: stop them.
      TEXT
      EXAMPLES = <<~TEXT
        work_shaper skip payments orders/3 4711
      TEXT

      private

      def change(admin, committed)
        check_partition(admin)
        raise Error, "group #{@group_id.inspect} has nothing committed of #{name}; see reset" unless committed

        message = admin.message_at(@place, committed.offset)
        refuse_other(committed, message)
        raise Error, "#{name} ends at #{committed.offset}: there is nothing to leave out" unless message

        @output.puts describe(message)
        map = map(committed, message)
        after(admin, message.offset + 1, map ? map.runs.each_slice(2).to_a : [], map&.leader_epoch)
      end

      # Where a transaction ends, the offset that is committed has no message: the next one is meant.
      def refuse_other(committed, message)
        return if [committed.offset, message&.offset].include?(@offset)

        raise Error, "#{name}: the committed offset of #{@group_id.inspect} is #{committed.offset}, not #{@offset}"
      end

      def describe(message)
        "#{name}: group #{Text.shown(@group_id)} is to leave out the message at offset #{message.offset}: " \
          "key #{Text.shown(message.key.inspect)}, #{Text.count(message.payload.to_s.bytesize, "byte")}, " \
          "of #{message.timestamp&.utc&.strftime("%F %T UTC") || "no time"}."
      end

      # What is finished beyond; nil: nothing, or that is of another log.
      def map(committed, message)
        map = OffsetMap.decode(committed.metadata.to_s, committed.offset)
        map if !map.is_a?(Symbol) && map.anchor == [message.offset, *message.send(:fingerprint)]
      end

      # The frontier goes to the next message that is not finished, over runs that begin at it and offsets that have no
      # message. The rest of the map hangs on that message.
      def after(admin, base, runs, leader_epoch)
        base = [base, runs.shift.last + 1].max while runs.any? && runs.first.first <= base
        anchor = admin.message_at(@place, base) if runs.any?
        return row(base) unless anchor
        return after(admin, anchor.offset, runs, leader_epoch) if anchor.offset >= runs.first.first

        row(base, OffsetMap.encode(base, runs.flatten, anchor.offset, *anchor.send(:fingerprint), nil, leader_epoch))
      end
    end
  end
end
