# frozen_string_literal: true

require_relative "kafka_command"

module WorkShaper
  module CommandLine
    # A command that changes where a group goes on in a partition. It asks before, and refuses while the group has
    # members: those would not hear of it, and commit over it.
    #
    # @private
    class OffsetCommand < KafkaCommand
      def call
        with_admin(settings(@group_id)) do |admin|
          refuse_members(admin)
          committed = admin.committed[@place]
          row = change(admin, committed)
          return FAILED unless confirmed?

          refuse_members(admin) # that may have taken a while
          refuse_change(committed, admin.committed[@place])
          admin.commit(@place, row)
          @output.puts "#{name}: #{Text.shown(@group_id)} goes on from offset #{row.offset}"
        end
        OK
      end

      private

      # Says what is to change, on standard output.
      #
      # @param committed [OffsetList::Committed, nil]
      # @return [OffsetList::Committed] what is to be committed
      # @raise [Error]
      def change(admin, committed)
        raise NotImplementedError
      end

      def options(parser)
        super
        parser.on("--yes", "Does not ask; needed where there is no terminal") { @yes = true }
      end

      def take(group, place, offset)
        @group_id = check_group(group)
        @place = topic_partition(place)
        @offset = check_offset(offset)
        return if @yes || @input.tty?

        raise OptionParser::MissingArgument, "--yes: there is no terminal to ask on"
      end

      def check_offset(text)
        return Integer(text, 10) if text.match?(/\A\d{1,18}\z/)

        raise OptionParser::InvalidArgument, "#{text}: OFFSET must be a number"
      end

      def name
        @place.join("/")
      end

      def row(offset, metadata = nil)
        Consumer.const_get(:OffsetList)::Committed.new(offset, metadata)
      end

      def confirmed?
        return true if @yes

        @output.print "Go on? [y/N] "
        @output.flush
        return true if @input.gets.to_s.strip.match?(/\Ay(es)?\z/i)

        @output.puts "Nothing has changed."
        false
      end

      def check_partition(admin)
        count = admin.partition_count(@place.first)
        return if @place.last < count

        raise Error, "#{name} does not exist: #{@place.first} has #{Text.count(count, "partition")}, from 0 on"
      end

      def refuse_members(admin)
        group = admin.group
        return unless group.members?

        who = group.members.map { |member| "#{member.id} (#{member.client} at #{member.host})" }
        who = ["in state #{group.state}, which this librdkafka cannot name"] if who.empty?
        raise Error, "group #{@group_id.inspect} has members; stop them first: #{who.join(", ")}"
      end

      def refuse_change(before, now)
        return if before == now

        raise Error, "#{name}: the committed offset has changed meanwhile, to #{now&.offset.inspect}; look again"
      end
    end
  end
end
