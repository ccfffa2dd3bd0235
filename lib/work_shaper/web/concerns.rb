# frozen_string_literal: true

module WorkShaper
  class Web
    # What is not well, in words, and since when: the first thing that whoever opens the page wants to know.
    #
    # A concern has a `level` (`bad`: nothing goes on, or not for long; `warning`: some of it does not), `what`, `since`
    # (a Time, or nil: not known) and `error`, if one is behind it; `id` and `group` say whose it is.
    #
    # @private
    module Concerns
      BAD = "bad"
      WARNING = "warning"
      MOST_SILENCE = 30 # seconds between two turns of a poll loop, as for {Consumer#healthy?}
      PATIENCE = 10 # seconds until a new consumer has its partitions
      TOLD_OTHERWISE = ["Kafka does not answer", "it stops"].freeze # what it says if it is not ready
      HELD_UP = 30 # seconds after which a message that fails is told of

      class << self
        # @param consumers [Array<Hash>] rows of {Overview}
        # @param max_age [Numeric] as for {Consumer#healthy?}
        # @return [Array<Hash>] the worst first, then the oldest
        def of(consumers:, ended:, managers:, max_age:, streams: nil) # rubocop:disable Lint/UnusedMethodArgument
          all = ended.map { |row| concern(row, BAD, "The consumer has ended", row[:since], row[:error]) }
          all.concat(consumers.flat_map { |row| of_consumer(row, max_age) }, managers.flat_map { |row| of_work(row) })
          all.sort_by { |one| [one[:level] == BAD ? 0 : 1, one[:since] ? one[:since].to_f : Float::INFINITY] }
        end

        # @return [String] `bad`, `warning`, `ok`; `none`: nothing is at work
        def state(rows, concerns)
          return concerns.first[:level] if concerns.any?

          rows.values.all?(&:empty?) ? "none" : "ok"
        end

        private

        def of_consumer(row, max_age)
          [*silent(row), *away(row), *unready(row), *troubles(row, max_age), *of_work(row, max_age)]
        end

        # Of what a manager has, too.
        def of_work(row, max_age = Float::INFINITY)
          [*fatal(row), *breaker(row), *stuck(row, max_age), *held_up(row)]
        end

        def concern(row, level, what, since, error = nil)
          { level: level, what: what, since: since, error: error, id: row[:id], group: row[:group] }
        end

        def ago(seconds)
          Time.now - seconds
        end

        def silent(row)
          seconds = row[:silence_sec]
          [concern(row, BAD, "The poll loop does not turn", ago(seconds))] if seconds > MOST_SILENCE
        end

        def away(row)
          kafka = row[:kafka]
          [concern(row, BAD, "Kafka does not answer", kafka[:since])] if kafka[:reachable] == false
        end

        def unready(row)
          why = row[:unready]
          return if why.nil? || TOLD_OTHERWISE.include?(why) || Time.now - row[:began_at] < PATIENCE

          since = row[:began_at] if row[:total_enqueued].zero?
          [concern(row, row[:healthy] ? WARNING : BAD, "No messages can come: #{why}", since)]
        end

        def troubles(row, max_age)
          row[:troubles].map do |place, trouble|
            lasting = Time.now - trouble[:since] > max_age
            concern(row, lasting ? BAD : WARNING, "Nothing comes in of #{place}", trouble[:since], trouble[:error])
          end
        end

        def fatal(row)
          [concern(row, BAD, "Shut down by itself", nil, row[:fatal])] if row[:fatal]
        end

        def breaker(row)
          breaker = row[:breaker]
          return unless breaker && breaker[:state] == :open

          [concern(row, BAD, "The breaker is open: most tries fail, so only probes run", ago(breaker[:open_for_sec]),
                   breaker[:error])]
        end

        def stuck(row, max_age)
          oldest = row[:stuck].max_by { |try| try[:age_sec] } or return
          level = oldest[:age_sec] > max_age ? BAD : WARNING
          what = "#{place(oldest)} is stuck, at attempt #{oldest[:attempt]}#{others(row[:stuck])}"
          [concern(row, level, what, ago(oldest[:age_sec]))]
        end

        # By what fails again and again.
        def held_up(row)
          failing = row[:blocked].select { |one| one[:first_failed_at] && Time.now - one[:first_failed_at] > HELD_UP }
          oldest = failing.min_by { |one| one[:first_failed_at] } or return
          does = oldest[:give_up] ? "cannot be given up" : "keeps failing, at attempt #{oldest[:attempt]}"
          what = "#{place(oldest)} #{does}#{others(failing)}"
          [concern(row, WARNING, what, oldest[:first_failed_at], oldest[:error])]
        end

        def place(row)
          partition = row[:topic] ? "#{row[:topic]}/#{row[:partition]}" : row[:partition]
          "#{partition} offset #{row[:offset]}"
        end

        def others(rows)
          ", and #{rows.size - 1} more" if rows.size > 1
        end
      end
    end

    private_constant :Concerns
  end
end
