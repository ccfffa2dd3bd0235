# frozen_string_literal: true

require_relative "offset_command"

module WorkShaper
  module CommandLine
    # Has a group go on from another offset of a partition.
    #
    # @private
    class Reset < OffsetCommand
      USAGE = "reset GROUP TOPIC/PARTITION OFFSET [options]"
      ABOUT = <<~TEXT
        Has GROUP go on from OFFSET in that partition: a number, "earliest" or "latest". Everything from there on is
        worked on, also what was finished before. Asks before, and refuses while the group has members: stop them.
      TEXT
      EXAMPLES = <<~TEXT
        work_shaper reset payments orders/3 4711
        work_shaper reset payments orders/3 earliest --yes
      TEXT
      WORDS = %w[earliest latest].freeze

      private

      def check_offset(text)
        WORDS.include?(text) ? text : super
      rescue OptionParser::InvalidArgument
        raise OptionParser::InvalidArgument, "#{text}: OFFSET must be a number, earliest or latest"
      end

      def change(admin, committed)
        check_partition(admin)
        range = range(admin)
        offset = { "earliest" => range.first, "latest" => range.last }.fetch(@offset, @offset)
        unless range.cover?(offset)
          raise Error, "offset #{offset} is not in #{name}, which has #{range.first} to #{range.last}, its end"
        end

        @output.puts describe(committed, offset)
        row(offset) # without a map: what was finished beyond is worked on again
      end

      def range(admin)
        first, last = [admin.beginnings([@place]), admin.ends([@place])].map { |offsets| offsets[@place] }
        raise Error, "#{name}: its leader does not say where it begins and ends" unless first && last

        (first..last)
      end

      def describe(committed, offset)
        group = "group #{Text.shown(@group_id)}"
        return "#{name}: #{group} has nothing committed there; it is to begin at #{offset}." unless committed

        what = if offset > committed.offset
                 "#{Text.count(offset - committed.offset, "offset")} will be left out: nobody works on what is there"
               else
                 "the #{Text.count(committed.offset - offset, "offset")} up to there, and what was finished beyond, " \
                   "are worked on again"
               end
        "#{name}: #{group} is at #{committed.offset}, and is to go on from #{offset}: #{what}."
      end
    end
  end
end
