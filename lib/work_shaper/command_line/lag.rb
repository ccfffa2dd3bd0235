# frozen_string_literal: true

require "json"
require_relative "kafka_command"

module WorkShaper
  module CommandLine
    # How far a group is.
    #
    # @private
    class Lag < KafkaCommand
      USAGE = "lag GROUP [options]"
      ABOUT = <<~TEXT
        Shows, for each partition of the topics that GROUP consumes, where it goes on (committed), where the partition
        ends, and the lag between these. A WorkShaper::Consumer has finished more than that says: what is "finished
        beyond" does not run again after a restart. Exit status 0, however large the lag is.
      TEXT
      EXAMPLES = <<~TEXT
        work_shaper lag payments --brokers kafka-1:9092
        work_shaper lag payments --json | jq '[.partitions[].lag] | add'
      TEXT
      HEAD = ["partition", "committed", "end", "lag", "finished beyond", "member"].freeze

      # Of a partition: nil where something is not known.
      Row = Struct.new(:topic, :partition, :committed, :end, :lag, :finished_beyond, :member)

      def call
        with_admin(settings(@group_id)) do |admin|
          @group = admin.group
          @rows = rows(admin)
        end
        raise Error, "group #{@group_id.inspect} is not there: it has no members and no offsets" unless known?

        @json ? print_json : print_table
        OK
      end

      private

      def options(parser)
        super
        parser.on("--json", "One JSON object, for scripts") { @json = true }
      end

      def take(group)
        @group_id = check_group(group)
      end

      def known?
        @rows.any? || @group.members?
      end

      def rows(admin)
        committed = admin.committed
        owners = @group.members.flat_map { |member| member.partitions.map { |place| [place, member.id] } }.to_h
        places = places(admin, committed.keys | owners.keys)
        ends = admin.ends(places)
        places.map { |place| row(place, committed[place], ends[place], owners[place]) }
      end

      # All partitions of the topics that are there.
      def places(admin, known)
        topics = known.map(&:first).uniq
        all = topics.flat_map { |topic| Array.new(admin.client.partition_count(topic)) { |index| [topic, index] } }
        (known | all).sort
      end

      def row(place, committed, log_end, member)
        lag = [log_end - committed.offset, 0].max if committed && log_end
        Row.new(*place, committed&.offset, log_end, lag, committed && finished_beyond(committed), member)
      end

      # 0 where there is no map, or none that is of use.
      def finished_beyond(committed)
        map = OffsetMap.decode(committed.metadata.to_s, committed.offset)
        map.is_a?(Symbol) ? 0 : map.count
      end

      def print_table
        @output.puts "#{Text.shown(@group_id)}: #{@group.state}, #{members}"
        table = @rows.map { |row| ["#{row.topic}/#{row.partition}", *row.to_a.drop(2)] }
        @output.puts Text.table([HEAD, *table]) if table.any?
        lags = @rows.map(&:lag)
        @output.puts "lag in all: #{Text.number(lags.compact.sum)}#{", as far as it is known" if lags.include?(nil)}"
        print_members
      end

      def members
        return "members that this librdkafka cannot name" if @group.members? && @group.members.empty?

        Text.count(@group.members.size, "member")
      end

      def print_members
        rows = @group.members.map { |member| [member.id, member.client, member.host, member.partitions.size] }
        @output.puts "", Text.table([%w[member client host partitions], *rows]) if rows.any?
      end

      def print_json
        members = @group.members.map { |member| { **member.to_h, partitions: member.partitions.size } }
        @output.puts JSON.generate(group: @group_id, state: @group.state, partitions: @rows.map(&:to_h),
                                   members: members)
      end
    end
  end
end
