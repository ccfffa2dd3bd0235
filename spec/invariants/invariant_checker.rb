# frozen_string_literal: true

# Reads the log of a run and says which invariants (I1 to I7 of docs/invariants.md) it breaks. It is as naive as it
# can be: it knows nothing of queues, trackers or workers, only which moment came before which.
class InvariantChecker
  # The moments of one message as indexes in the log; `epoch` counts the revokes of its partition before it.
  # `ends` are those of tries that failed and were not the end of the message, as far as its work can know.
  Life = Struct.new(:message, :epoch, :call, :enqueued, :turned_away, :starts, :ends, :finish, :dropped,
                    keyword_init: true)
  Ack = Struct.new(:partition, :offset, :epoch, :call, :return, :accepted, :not_before, keyword_init: true)
  NEVER = Float::INFINITY

  attr_reader :violations

  def initialize(runner, schedule)
    @log = runner.log
    @settings = schedule.settings
    @schedule = schedule
    @stats = runner.final_stats
    @outcome = runner.outcome
    @violations = runner.surprises.dup
    @lives = {}.compare_by_identity
    @acks = []
    @revokes = []
    @epochs = Hash.new(0)
    read_log
  end

  def check
    check_serial
    check_order
    @acks.each { |ack| check_frontier(ack) }
    check_forward
    check_complete
    @revokes.each { |revoke| check_revoke(revoke) }
    check_bounds
    check_counters
    violations
  end

  private

  def read_log
    @log.each_with_index { |(kind, *details), moment| send(:"read_#{kind}", moment, *details) }
    # Given up: there was no other try.
    @lives.each_value { |life| life.finish ||= life.ends.last unless life.dropped }
  end

  def read_enqueue_call(moment, message)
    @lives[message] = Life.new(message: message, epoch: @epochs[message.partition], call: moment, starts: [],
                               ends: [])
  end

  def read_enqueued(moment, message)
    @lives[message].enqueued = moment
  end

  def read_turned_away(moment, message)
    @lives[message].turned_away = moment
  end

  def read_start(moment, message)
    @lives[message].starts << moment
  end

  def read_failed(_place, _message); end

  def read_try_over(moment, message)
    @lives[message].ends << moment
  end

  def read_finish(moment, message)
    @violations << "#{message} finished twice" if @lives[message].finish
    @lives[message].finish = moment
  end

  def read_ack_call(moment, partition, offset)
    before = @acks.reverse.find { |ack| ack.partition == partition }
    @violations << "two acks of #{partition.inspect} overlap" if before && !before.return
    @acks << Ack.new(partition: partition, offset: offset, epoch: @epochs[partition], call: moment,
                     not_before: before&.return || 0)
  end

  def read_ack_return(moment, partition, offset, accepted)
    ack = @acks.reverse.find { |one| one.partition == partition && one.offset == offset }
    ack.return = moment
    ack.accepted = accepted
  end

  def read_revoke_call(moment, partition)
    @revokes << { partition: partition, epoch: @epochs[partition], call: moment }
  end

  def read_revoke_return(moment, partition, dropped)
    revoke = @revokes.reverse.find { |one| one[:partition] == partition }
    revoke.update(return: moment, dropped: dropped)
    dropped.map { |tuple| tuple[1] }.each { |message| @lives[message].dropped = revoke[:call] }
    @epochs[partition] += 1
  end

  def check_serial
    at_work = {}
    @log.each do |kind, message|
      next unless %i[start finish try_over].include?(kind)

      other = at_work[message.key]
      @violations << "I1: #{message} started while #{other} was at work" if kind == :start && other
      at_work[message.key] = kind == :start ? message : nil
    end
  end

  def check_order
    @lives.values.select { |life| life.starts.any? }.group_by { |life| life.message.key }.each_value do |lives|
      lives.sort_by { |life| life.starts.first }.combination(2) { |first, second| check_pair(first, second) }
    end
  end

  def check_pair(first, second)
    if before?(second.enqueued, first.call)
      @violations << "I2: #{first.message} started before #{second.message}, which was enqueued before it"
    elsif before?(first.enqueued, second.call) && second.starts.first < first.starts.last
      @violations << "I2: #{second.message} started between two tries of #{first.message}"
    end
  end

  # An offset is chosen at some moment after the last `ack` of the partition returned and before this one is
  # called; at that moment all that was received up to it must have been finished.
  def check_frontier(ack)
    received = lives_of(ack.partition, ack.epoch)
    @violations << "I3: ack of #{name(ack)}, never received" if received.none? { |l| l.message.offset == ack.offset }
    received = received.select { |life| life.message.offset <= ack.offset }
    return if ack.call.downto(ack.not_before).any? { |moment| settled?(received, moment) }

    unfinished = received.select { |life| life.enqueued && life.enqueued < ack.call && !before?(life.finish, ack.call) }
    @violations << "I3: ack of #{name(ack)} (moment #{ack.call}) before the end of #{unfinished.map(&:message)}"
  end

  def settled?(lives, moment)
    arrived = lives.select { |life| before?(life.enqueued, moment) || before?(life.finish, moment) }
    arrived.any? && arrived.all? { |life| before?(life.finish, moment) }
  end

  def check_forward
    @acks.group_by { |ack| [ack.partition, ack.epoch] }.each_value do |acks|
      acks.each_cons(2) do |first, second|
        next if first.offset < second.offset

        @violations << "I4: ack of #{name(second)} after #{name(first)} in one assignment"
      end
    end
  end

  def check_complete
    @violations << "I5: shutdown returned #{@outcome.inspect}" unless @outcome == true
    @lives.each_value { |life| check_life(life) }
    last = @lives.values.select { |life| life.enqueued && life.epoch == @epochs[life.message.partition] }
    last.group_by { |life| life.message.partition }.each { |partition, lives| check_acknowledged(partition, lives) }
  end

  def check_life(life)
    times = life.starts.size
    expected = expected_tries(life)
    @violations << "I5: #{life.message} was worked on #{times} times, not #{expected}" unless expected.cover?(times)
    @violations << "I5: #{life.message} never finished" if times.positive? && !life.finish && !life.dropped
  end

  # What an open breaker excuses is tried again; what was dropped, or fenced while it ran, is not.
  def expected_tries(life)
    return 0..0 unless life.enqueued

    failing = life.message.tries
    attempts = @settings[:attempts] || 1
    return 0..failing if life.dropped

    least = [failing + 1, attempts].min
    least = 1 if life.epoch < @epochs[life.message.partition]
    least..(@settings[:breaker] ? failing + 1 : [failing + 1, attempts].min)
  end

  # With `acks: :every` each has its turn, unless it came after a higher one was chosen.
  def check_acknowledged(partition, lives)
    acks = @acks.select { |ack| ack.partition == partition && ack.epoch == lives.first.epoch }
    highest = lives.map { |life| life.message.offset }.max
    missing = acks.last&.offset != highest
    @violations << "I5: the highest, #{partition.inspect}:#{highest}, was not acknowledged" if missing
    return if @settings[:acks] == :latest

    lives.each do |life|
      next if acks.any? { |ack| ack.offset == life.message.offset || overtaken?(life, ack, lives) }

      @violations << "I5: #{life.message} was not acknowledged"
    end
  end

  def overtaken?(life, ack, lives)
    return false if ack.offset < life.message.offset

    others = lives.select { |other| other.message.offset <= ack.offset }
    [ack.call, life.enqueued].min.downto(ack.not_before).any? { |moment| settled?(others, moment) }
  end

  def check_revoke(revoke)
    dropped = revoke[:dropped].map { |_, message,| @lives[message] }
    check_dropped(revoke)
    check_fenced(revoke)
    @violations << "revoke returned one twice" unless dropped.uniq(&:object_id).size == dropped.size
    dropped.combination(2) do |first, second|
      next unless second.enqueued < first.call

      @violations << "revoke returned #{first.message} before #{second.message}, which was enqueued before it"
    end
  end

  # That none is called after it is seen by I3: each ack is held against what came after the last revoke.
  def check_fenced(revoke)
    moment = revoke[:return]
    spanning = @acks.select { |ack| ack.partition == revoke[:partition] && ack.call < moment && moment < ack.return }
    spanning.each { |ack| @violations << "I6: revoke returned while #{name(ack)} was being acknowledged" }
  end

  def check_dropped(revoke)
    revoke[:dropped].each do |key, message, partition, offset|
      same = @schedule.key_of(message).eql?(key) && message.partition.eql?(partition) && message.offset == offset
      @violations << "revoke returned #{message} as #{[key, partition, offset]}" unless same
      life = @lives[message]
      mine = [life.message.partition, life.epoch] == [revoke[:partition], revoke[:epoch]]
      @violations << "revoke of #{revoke[:partition].inspect} dropped #{message}" unless mine
    end
  end

  # Waiting is counted from the end of `enqueue` to the start of the work, and unfinished up to the end of that: never
  # more than what the manager itself must count.
  def check_bounds
    @lives.values.select(&:enqueued).each do |life|
      moment = life.enqueued
      held = @lives.values.select { |other| other.enqueued && other.enqueued <= moment }
      check_queue(life, held)
      unfinished = held.count { |other| unfinished?(other, moment) }
      next if unfinished <= @settings[:max_in_flight]

      @violations << "I7: #{unfinished} unfinished after #{life.message} (limit #{@settings[:max_in_flight]})"
    end
  end

  def check_queue(life, held)
    moment = life.enqueued
    same = held.select { |other| other.message.key == life.message.key && !before?(other.dropped, moment) }
    here = same.count { |other| !before?(other.finish, moment) }
    return if here <= @settings[:max_in_queue] + 1

    @violations << "I7: #{here} waiting or at work for key #{life.message.key} after #{life.message}"
  end

  def unfinished?(life, moment)
    over = @revokes.find { |revoke| revoke[:partition] == life.message.partition && revoke[:epoch] == life.epoch }
    !(over && over[:call] < moment) && !before?(life.finish, moment)
  end

  def check_counters
    enqueued = @lives.values.count(&:enqueued)
    expected = { total_enqueued: enqueued, in_flight: 0, waiting: 0, running: 0, sub_keys: 0, workers: 0,
                 total_failed: @log.count { |kind,| kind == :failed }, fatal: nil }
    expected.each do |name, value|
      @violations << "stats[:#{name}] is #{@stats[name].inspect}, not #{value.inspect}" unless @stats[name] == value
    end
    closed = @stats[:total_acked] + @stats[:total_dropped] == enqueued
    @violations << "acked and dropped do not add up to #{enqueued}: #{@stats}" unless closed
    check_dropped_count
    check_refused_count
    check_last_acked
  end

  # At the least all that was returned, at the most all of the assignments that ended.
  def check_dropped_count
    least = @revokes.sum { |revoke| revoke[:dropped].size }
    most = @lives.values.count { |life| life.enqueued && life.epoch < @epochs[life.message.partition] }
    return if @stats[:total_dropped].between?(least, most)

    @violations << "stats[:total_dropped] is #{@stats[:total_dropped]}, not #{least}..#{most}"
  end

  # Offsets are counted, not calls: one refused call may stand for several (`acks: :latest`, repeated offsets).
  def check_refused_count
    calls = @acks.count { |ack| ack.accepted == false }
    return if @stats[:total_refused].between?(calls, calls.zero? ? 0 : @stats[:total_acked] + @stats[:total_dropped])

    @violations << "stats[:total_refused] is #{@stats[:total_refused]} after #{calls} refused calls"
  end

  def check_last_acked
    @stats[:partitions].each do |partition, row|
      acks = @acks.select { |ack| ack.partition == partition && ack.epoch == @epochs[partition] && ack.accepted }
      last = acks.last&.offset
      next if row[:last_acked] == last

      @violations << "last_acked of #{partition.inspect} is #{row[:last_acked].inspect}, not #{last.inspect}"
    end
  end

  def lives_of(partition, epoch)
    @lives.values.select { |life| life.message.partition == partition && life.epoch == epoch }
  end

  def before?(moment, other)
    !moment.nil? && moment < other
  end

  def name(ack)
    "#{ack.partition.inspect}:#{ack.offset}"
  end
end
