# frozen_string_literal: true

require "time"

module WorkShaper
  module CommandLine
    # What /stats.json of {Web} says, as text. It knows nothing but that: a field that is missing is not shown.
    #
    # @private
    class Page
      STATES = { "ok" => "All is well.", "none" => "Nothing is at work.", "warning" => "Not all is well:",
                 "bad" => "It is not well:" }.freeze
      PARTITIONS = ["partition", "lag", "committed", "end", "gap", "blocked by", "for", "attempt", "worker"].freeze
      WORK = %w[working message attempt for key].freeze
      MOST = 20 # rows of a table

      # @param stats [Hash{String => Object}]
      def initialize(stats)
        @stats = stats
        @at = Time.parse(stats["at"].to_s)
      rescue ArgumentError
        @at = Time.now
      end

      # @return [Array<String>]
      def lines
        [head, *state, *rows("consumers").flat_map { |row| consumer(row) },
         *rows("managers").flat_map { |row| work("A manager", row) },
         *rows("streams").flat_map { |row| work("A stage of a stream", row) }].map { |line| Text.shown(line).rstrip }
      end

      private

      def rows(name, of = @stats)
        of[name].is_a?(Array) ? of[name].grep(Hash) : []
      end

      def head
        host = @stats["host"] && " on #{@stats["host"]}"
        "work_shaper #{@stats["version"]}, process #{@stats["pid"]}#{host}, #{@at.utc.strftime("%F %T UTC")}"
      end

      def state
        state = @stats["state"] or return []
        [STATES.fetch(state, state), *rows("concerns").map { |concern| concern(concern) }]
      end

      def concern(concern)
        whose = concern["group"] && "#{concern["group"]}: "
        error = concern["error"] && " (#{concern["error"]})"
        "  #{whose}#{concern["what"]}#{since(concern["since"])}#{error}"
      end

      def since(time)
        time = Time.parse(time.to_s)
        ", since #{time.utc.strftime("%F %T")}, for #{age(@at - time)}"
      rescue ArgumentError
        ""
      end

      def consumer(row)
        partitions = row["partitions"].is_a?(Hash) ? row["partitions"] : {}
        lags = partitions.values.map { |partition| partition["lag"] }
        lag = lags.compact.sum if lags.none?(nil)
        lag = lag ? Text.number(lag) : "not known"
        ["", "#{row["group"]}: lag #{lag}, #{Text.count(partitions.size, "partition")}", numbers(row),
         *partitions(partitions), *running(row), *hot_keys(row)]
      end

      def work(name, row)
        ["", name, numbers(row), *hot_keys(row)]
      end

      def numbers(row)
        counts = %w[running waiting retrying dead_letters_waiting workers].filter_map do |name|
          "#{Text.number(row[name])} #{name.tr("_", " ")}" if row[name].is_a?(Integer)
        end
        rate = row.dig("rates", "attempts", "last_minute")
        counts << "#{rate.round(1)} tries/s" if rate.is_a?(Numeric)
        "  #{counts.join(", ")}"
      end

      # Those with the greatest lag first.
      def partitions(partitions)
        rows = partitions.sort_by { |name, row| [-row["lag"].to_i, name] }.map do |name, row|
          [name, *row.values_at("lag", "committed", "end"), gap(row), *blocked_by(row)]
        end
        table(PARTITIONS, rows, "partitions")
      end

      # How far beyond what is committed messages were taken.
      def gap(row)
        position, committed = row.values_at("position", "committed")
        [position - committed, 0].max if position && committed
      end

      def blocked_by(row)
        return Array.new(4) unless row["oldest_unfinished"]

        [row["oldest_unfinished"], age(row["oldest_age_sec"]), row["oldest_attempt"],
         row["oldest_worker"]&.delete_prefix("work_shaper ") || "waits"]
      end

      def running(row)
        rows = rows("work", row).sort_by { |work| -work["seconds"].to_f }.map do |work|
          [work["worker"].to_s.delete_prefix("work_shaper "), "#{work["topic"]}/#{work["partition"]}:#{work["offset"]}",
           work["attempt"], age(work["seconds"]), work["sub_key"]]
        end
        table(WORK, rows, "workers")
      end

      def table(head, rows, name)
        return [] if rows.empty?

        more = rows.size - MOST
        lines = Text.table([head, *rows.first(MOST)])
        lines << "... and #{Text.count(more, name.delete_suffix("s"))} more" if more.positive?
        ["", *lines].map { |line| "  #{line}" }
      end

      # They are there, without their names, where those are not to be shown.
      def hot_keys(row)
        keys = rows("hot_keys", row).select { |key| key["sub_key"] }
        return [] if keys.empty?

        ["", "  most waits on #{keys.map { |key| "#{key["sub_key"]} (#{Text.number(key["waiting"])})" }.join(", ")}"]
      end

      # Seconds as people say them.
      def age(seconds)
        case seconds
        when nil then nil
        when ...10 then "#{seconds.round(1)} s"
        when ...120 then "#{seconds.round} s"
        when ...7200 then "#{(seconds / 60).floor} min"
        else "#{(seconds / 3600).floor} h"
        end
      end
    end
  end
end
