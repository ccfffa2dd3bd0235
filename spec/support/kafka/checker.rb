# frozen_string_literal: true

require_relative "evidence"

module KafkaSpecs
  # Says what is wrong in a run, and counts what may be. As naive as it can be: it knows which moment came before which,
  # and nothing of managers or consumers.
  class Checker
    NEVER = Evidence::NEVER
    # A worker that has taken a message may be without a processor for this long before it says so.
    LATE_START = 200_000_000
    # rdkafka gives partitions back before it calls the listener, which may have to wait for the GVL.
    LATE_NEWS = 100_000_000
    # librdkafka says a moment later that it hung up, and sends what had no answer again once it has a connection.
    HANG_UP = ((-500_000_000)..5_000_000_000)

    # How long before the end of a tenure the message that a later one began with could have been committed.
    Handover = Struct.new(:partition, :cause, :lag, :first, keyword_init: true)

    # `commits_repeated`: when librdkafka had to send commits again, which it does after newer ones: what is committed
    # may go back for a moment. Ranges of moments, or true for the whole run; those when a member had hung up on the
    # coordinator are in its log. `outages`: ranges of moments in which members could not hear that their session was
    # over. The other keywords are those of Evidence.
    def initialize(commits_repeated: [], outages: [], **known)
      @outages = outages
      @evidence = Evidence.new(**known)
      @commits_repeated = commits_repeated == true ? [0..NEVER] : commits_repeated + after_hang_ups
    end

    # One sentence for each; none: all is well.
    def violations
      @violations ||= [lost, unknown, out_of_order, overlaps, shared, outside, rewound, not_growing,
                       committed_backwards, committed_early].flatten
    end

    # How often a message was delivered again.
    def repeats
      @evidence.deliveries.size - attempts.uniq { |attempt| identity(attempt) }.size
    end

    # The same by whose work was repeated where: partition, members, offsets, and when the first and the last of them
    # began again.
    def repeats_by_place
      again = attempts.group_by { |attempt| identity(attempt) }.values.flat_map { |of_it| of_it.each_cons(2).to_a }
      again.group_by { |first, second| [first.partition, first.member, second.member] }.map do |place, pairs|
        seconds = pairs.map(&:last)
        "#{place.join(" ")}: #{pairs.size}, offsets #{seconds.map(&:offset).minmax.join("..")}, " \
          "at #{seconds.map(&:started).minmax.join("..")}, ended before #{pairs.count { |pair| pair.first.ended }}"
      end
    end

    # How often work that had failed was tried again.
    def retries
      attempts.size - @evidence.deliveries.size
    end

    # How often what was finished already was finished again.
    def repeated_finishes
      @evidence.finishes.each_value.sum { |times| times - 1 }
    end

    # Partition and offset of each that became a dead letter, as the members say.
    def given_up
      @evidence.given_up
    end

    # Starts at one member while work on the same key ran on at another, which that one repeats.
    def overlapping_repeats
      violations
      @overlapping_repeats
    end

    # For each tenure that repeated something, how late the one before it was with its commits; of all, or of those with
    # that cause (:revoked, :lost, :died or :paused).
    def handovers(cause = nil)
      found = tenures.filter_map { |tenure| handover(tenure) }
      cause ? found.select { |handover| handover.cause == cause } : found
    end

    # The longest of them in milliseconds.
    def lag_ms(cause)
      handovers(cause).map(&:lag).max.to_i / 1_000_000.0
    end

    # How much longer than it should the slowest piece of work took: what its machine and its process make of a moment.
    def overrun_ms(work_ms)
      awake = attempts.reject { |attempt| @evidence.suspended?(attempt) }
      longest = awake.filter_map { |attempt| attempt.ended && (attempt.ended - attempt.started) }.max.to_i
      (longest / 1_000_000.0) - work_ms
    end

    private

    def attempts
      @evidence.attempts
    end

    def tenures
      @evidence.tenures.values.flatten
    end

    def identity(of)
      @evidence.identity(of)
    end

    def name(of)
      "#{of.partition}:#{of.offset} (#{of.key || "-"})"
    end

    def keyed(messages)
      messages.reject { |message| [nil, "-"].include?(message.key) }
    end

    def lost
      missing = @evidence.produced.select { |message| @evidence.ended(message) == NEVER }
      missing.map { |message| "lost: #{name(message)}" }
    end

    def unknown
      wrong = attempts.reject do |attempt|
        message = @evidence.message_at(identity(attempt))
        message && [message.key || "-", message.id] == [attempt.key, attempt.id]
      end
      wrong.map { |attempt| "never produced: #{name(attempt)} with id #{attempt.id}, at #{attempt.member}" }
    end

    # A message starts when all of its key that lie below it have been finished at least once.
    def out_of_order
      due = {}
      keyed(@evidence.produced).group_by { |message| [message.partition, message.key] }.each_value do |messages|
        messages.inject(0) do |latest, message|
          due[identity(message)] = latest
          [latest, @evidence.ended(message)].max
        end
      end
      early = attempts.select { |attempt| attempt.started < due.fetch(identity(attempt), 0) }
      early.reject! { |attempt| @evidence.zombie?(attempt) }
      early.map { |attempt| "order: #{name(attempt)} started at #{attempt.member} before the end of one below it" }
    end

    # Two of a key at the same time.
    def overlaps
      @overlapping_repeats = 0
      keyed(attempts).group_by { |attempt| [attempt.partition, attempt.key] }.flat_map do |_, of_key|
        running = []
        of_key.flat_map do |attempt|
          running.reject! { |other| @evidence.over?(other, attempt.started) }
          found = running.reject { |other| excused?(other, attempt, of_key) }
          @overlapping_repeats += running.size - found.size
          running << attempt
          found.map { |other| "overlap: #{name(attempt)} at #{attempt.member} with #{name(other)} at #{other.member}" }
        end
      end
    end

    # What still runs at a member that has lost its partition the next one repeats, and goes on after it, or is on its
    # way there from further back: it can't wait for another process. Or it has finished that message before. After an
    # outage a member may have been taken for dead, and not know it.
    def excused?(running, attempt, of_key)
      return false if running.member == attempt.member
      return true if attempt.offset <= running.offset
      return true if outage?(attempt.started)
      return true if @evidence.zombie?(running) || @evidence.zombie?(attempt) || @evidence.suspended?(running)

      of_key.any? do |other|
        other.member == attempt.member && other.offset == running.offset && other.started <= attempt.started
      end
    end

    def outage?(moment)
      @outages.any? { |moments| moments.cover?(moment) }
    end

    # A partition that two members have.
    def shared
      @evidence.tenures.each_value.flat_map do |of_partition|
        awake = of_partition.reject { |tenure| @evidence.paused?(tenure.member) }
        both = awake.each_cons(2).select { |first, second| (first.to || NEVER) > second.from + LATE_NEWS }
        both.reject! { |_, second| outage?(second.from) }
        both.map do |first, second|
          "owners: #{second.partition} came to #{second.member} while #{first.member} had it"
        end
      end
    end

    # What starts at a member that does not have the partition.
    def outside
      attempts.filter_map do |attempt|
        tenure = @evidence.tenure_of(attempt)
        next "not assigned: #{name(attempt)} started at #{attempt.member}" unless tenure
        next if attempt.started <= (tenure.settled || NEVER) + LATE_START

        "fence: #{name(attempt)} started at #{attempt.member} after its partition was revoked"
      end
    end

    # What is repeated though it was committed when the member got the partition. An older commit may have been sent
    # again just then.
    def rewound
      tenures.reject { |tenure| commits_repeated?(tenure.from) }.flat_map do |tenure|
        seen = @evidence.samples_of(tenure.partition).select { |sample| sample.at < tenure.from }
        committed = seen.map(&:committed).max || 0
        @evidence.attempts_in(tenure).select { |attempt| attempt.offset < committed }.map do |attempt|
          "rewound: #{name(attempt)} at #{attempt.member}, though #{committed} was committed"
        end
      end
    end

    # Within one tenure nothing is delivered twice, and the offsets of a key only grow; what failed is tried again
    # before anything else of its key, or is a dead letter.
    def not_growing
      tenures.flat_map do |tenure|
        keyed(@evidence.attempts_in(tenure)).group_by(&:key).flat_map do |_, of_key|
          wrong = of_key.each_cons(2).reject { |first, second| follows?(first, second) }
          wrong.map { |first, second| "order: #{name(second)} after #{first.offset} at #{second.member}" }
        end
      end
    end

    def follows?(first, second)
      retried = first.failed && (first.ended.nil? || first.ended > second.started)
      retried ? second.offset == first.offset : second.offset > first.offset
    end

    # A broker that gets no processor for some time answers nothing, and with KIP-848 librdkafka waits no longer for the
    # answer to a heartbeat than until the next one is due (docs/decisions/080).
    def after_hang_ups
      @evidence.hang_ups.map { |moment| (moment + HANG_UP.begin)..(moment + HANG_UP.end) }
    end

    def commits_repeated?(moment)
      @commits_repeated.any? { |moments| moments.cover?(moment) }
    end

    def committed_backwards
      @evidence.samples.group_by(&:partition).flat_map do |partition, samples|
        back = samples.each_cons(2).select { |first, second| second.committed < first.committed }
        back.reject! { |_, second| commits_repeated?(second.at) }
        back.map { |pair| "committed: #{partition} went back from #{pair[0].committed} to #{pair[1].committed}" }
      end
    end

    # Committed beyond a message that was not finished at that moment.
    def committed_early
      early = @evidence.samples.select do |sample|
        below = @evidence.offsets(sample.partition)
        count = below.bsearch_index { |offset| offset >= sample.committed } || below.size
        count.positive? && @evidence.frontier(sample.partition, below[count - 1]) > sample.at
      end
      early.map { |sample| "committed: #{sample.committed} of #{sample.partition} before all below it were finished" }
    end

    # What a tenure began with had been finished in one before it, together with all below it, and was not committed.
    def handover(tenure)
      first = @evidence.attempts_in(tenure).map(&:offset).min
      before = @evidence.tenures[tenure.partition].take_while { |other| !other.equal?(tenure) }
      found = before.filter_map do |other|
        cause, ended = @evidence.end_of(other)
        finished = finished_in(other)[first]
        next unless ended && finished && finished < ended

        Handover.new(partition: tenure.partition, cause: cause, lag: ended - finished, first: first)
      end
      found.max_by(&:lag)
    end

    # offset => the moment from which it and all from the first of the tenure were finished in it
    def finished_in(tenure)
      (@finished_in ||= {}.compare_by_identity)[tenure] ||= begin
        attempts = @evidence.attempts_in(tenure).to_h { |attempt| [attempt.offset, attempt] }
        latest = 0
        offsets = @evidence.offsets(tenure.partition).drop_while { |offset| offset < (attempts.keys.min || NEVER) }
        offsets.take_while { |offset| attempts[offset]&.ended }
               .to_h { |offset| [offset, latest = [latest, attempts[offset].ended].max] }
      end
    end
  end
end
