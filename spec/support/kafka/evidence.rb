# frozen_string_literal: true

require_relative "work_log"

module KafkaSpecs
  # What is known of one run: the logs of the members of a group, what was on the broker, what was seen committed.
  #
  # All moments are of one monotonic clock in nanoseconds. A start is written down before the work begins and an end
  # after it is over and before the consumer hears of it, so whatever the consumer puts in order shows in order here.
  class Evidence
    NEVER = Float::INFINITY

    # Of all members, in the order of their starts.
    attr_reader :attempts
    attr_reader :produced, :samples

    # partition => its tenures at all members, in their order
    attr_reader :tenures

    # `zombies`: names of members that were paused for longer than their session.
    def initialize(produced:, logs:, samples: [], zombies: [])
      @produced = produced.sort_by { |message| [message.partition, message.offset] }
      @by_identity = @produced.to_h { |message| [identity(message), message] }
      @logs = logs.to_h { |log| [log.member, log] }
      @samples = samples.select(&:committed)
      @zombies = zombies
      @attempts = logs.flat_map(&:attempts).sort_by(&:started)
      @tenures = logs.flat_map { |log| log.close_tenures.tenures }.sort_by(&:from).group_by(&:partition)
      @tenures.default = [].freeze
    end

    def identity(of)
      [of.partition, of.offset]
    end

    def message_at(identity)
      @by_identity[identity]
    end

    # The offsets that are there, in order.
    def offsets(partition)
      @offsets ||= produced.group_by(&:partition).transform_values { |messages| messages.map(&:offset) }
      @offsets.fetch(partition, [])
    end

    # In the order in which they were taken.
    def samples_of(partition)
      @samples_of ||= samples.group_by(&:partition)
      @samples_of.fetch(partition, [])
    end

    # The first tries: what was delivered, in the order of the starts.
    def deliveries
      @deliveries ||= begin
        failed = {}
        attempts.reject do |attempt|
          delivery = [tenure_of(attempt).object_id, attempt.offset]
          retried = failed[delivery] && failed[delivery] <= attempt.started
          failed[delivery] = attempt.failed && !attempt.ended ? attempt.failed : nil
          retried
        end
      end
    end

    # Of each message that was finished, how often.
    def finishes
      attempts.select(&:ended).group_by { |attempt| identity(attempt) }.transform_values(&:size)
    end

    # The partition and offset of each that became a dead letter.
    def given_up
      attempts.select { |attempt| attempt.failed && attempt.ended }.map { |attempt| identity(attempt) }
    end

    # When members hung up on the coordinator since it did not answer.
    def hang_ups
      @logs.each_value.flat_map { |log| log.events.select { |event| event.kind == "hung_up" }.map(&:at) }
    end

    # The moment at which a message was first finished, by whomever.
    def ended(message)
      @ends ||= attempts.select(&:ended).group_by { |attempt| identity(attempt) }
                        .transform_values { |of_it| of_it.map(&:ended).min }
      @ends.fetch(identity(message), NEVER)
    end

    # The moment from which a message and all below it in its partition are finished.
    def frontier(partition, offset)
      @frontiers ||= produced.group_by(&:partition).each_value.with_object({}) do |messages, found|
        messages.inject(0) { |latest, message| found[identity(message)] = [latest, ended(message)].max }
      end
      @frontiers.fetch([partition, offset])
    end

    # The tenure in which the member started it; nil: it never had the partition before that.
    def tenure_of(attempt)
      @by_member ||= tenures.values.flatten.group_by { |tenure| [tenure.member, tenure.partition] }
      held = @by_member.fetch([attempt.member, attempt.partition], [])
      held.reverse_each.find { |tenure| tenure.from <= attempt.started }
    end

    def attempts_in(tenure)
      @attempts_in ||= attempts.each_with_object({}.compare_by_identity) do |attempt, found|
        (found[tenure_of(attempt)] ||= []) << attempt
      end
      @attempts_in.fetch(tenure, [])
    end

    # Whether it is over at that moment: it came to its end, or its process did.
    def over?(attempt, moment)
      (attempt.over || @logs[attempt.member].died_at || NEVER) <= moment
    end

    # When and how a tenure ended, from the side of the group: a pause is an end.
    def end_of(tenure)
      paused_at = @logs[tenure.member].paused_at
      return [:paused, paused_at] if paused_at && (tenure.from..(tenure.to || NEVER)).cover?(paused_at)

      [tenure.cause, tenure.to]
    end

    def paused?(member)
      @zombies.include?(member)
    end

    # Was at work when its member was paused for longer than its session.
    def suspended?(attempt)
      paused?(attempt.member) &&
        (attempt.started..(attempt.over || NEVER)).cover?(@logs[attempt.member].paused_at)
    end

    # Started by a paused member that goes on, before it hears that its partition is gone.
    def zombie?(attempt)
      return false unless paused?(attempt.member)

      tenure = tenure_of(attempt)
      tenure && end_of(tenure).first == :paused && attempt.started > @logs[attempt.member].paused_at
    end
  end
end
