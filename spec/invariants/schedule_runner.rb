# frozen_string_literal: true

require "set"

# Runs a Schedule on a real manager and records what happened, in order. Appending to an Array is one step
# under Ruby's lock, so the log is a true order of the moments at which the callbacks and callers wrote.
class ScheduleRunner
  class Failure < StandardError; end

  # Seconds after which a run counts as hung.
  LIMIT = 20

  attr_reader :log, :manager, :final_stats, :outcome, :surprises

  def initialize(schedule)
    @schedule = schedule
    @log = []
    @surprises = []
    @random = Random.new(schedule.seed)
    @failed = Hash.new(0)
    @given_up = Set.new
    @trying = {}
  end

  def run
    @manager = WorkShaper::Manager.new(**callbacks, **settings)
    threads = @schedule.enqueuers.map { |steps| Thread.new { enqueue_all(steps) } }
    stopper = Thread.new { stop_meanwhile } if @schedule.ending == :shutdown_meanwhile
    threads.each { |thread| @surprises << "I5: an enqueuer hangs: #{thread.backtrace}" unless thread.join(LIMIT) }
    @outcome = stopper ? stopper.value : finish
    look_for_threads
    @final_stats = @manager.stats
    self
  end

  private

  def callbacks
    result = { work: method(:work), ack: method(:ack) }
    result[:on_done] = method(:on_done) if @schedule.callbacks[:on_done]
    result[:on_error] = method(:on_error) if @schedule.callbacks[:on_error]
    result
  end

  def settings
    settings = @schedule.settings
    return settings unless settings[:give_up] == :callable

    # It fails the first time.
    settings.merge(give_up: ->(failure) { @given_up.add?(failure.message.id) ? raise(Failure, "give_up") : :skip })
  end

  def work(message, partition, offset)
    @log << [:start, message]
    @surprises << "work got #{partition}:#{offset} for #{message}" unless intact?(message, partition, offset)
    take_time(message.duration)
    follow_up(message.follow_up) if message.follow_up
    fail_once(message)
    raise_in(message, :work_raises, :on_error_raises)
    @log << [:finish, message] unless @schedule.callbacks[:on_done]
  end

  # It is not over: it is tried again, or given up, which nobody sees but the manager.
  def fail_once(message)
    return unless @failed[message.id] < message.tries

    @failed[message.id] += 1
    @trying[message.id] = true # until on_error is told
    @log << [:failed, message] << [:try_over, message]
    raise Failure, message.id.to_s
  end

  def on_done(message, _partition, _offset)
    take_time(message.duration)
    raise_in(message, :on_done_raises)
    @log << [:finish, message]
  end

  def on_error(error, message, partition, offset)
    expected = error.is_a?(Failure) && error.message == message.id.to_s && intact?(message, partition, offset)
    @surprises << "on_error got #{error.inspect} for #{message}" unless expected
    take_time(message.duration)
    @log << [:finish, message] unless @trying.delete(message.id)
    raise Failure, "in on_error" if message.fate == :on_error_raises
  end

  def intact?(message, partition, offset)
    message.partition.eql?(partition) && message.offset.eql?(offset)
  end

  # With no on_error the raise is the last that is seen of a message.
  def raise_in(message, *fates)
    return unless fates.include?(message.fate)

    @log << [:failed, message]
    @log << [:finish, message] unless @schedule.callbacks[:on_error]
    raise Failure, message.id.to_s
  end

  def ack(partition, offset)
    @log << [:ack_call, partition, offset]
    take_time(@schedule.callbacks[:ack_duration])
    verdict = @schedule.verdict(partition, offset)
    accepted = !(false.equal?(verdict) || Exception === verdict)
    @log << [:ack_return, partition, offset, accepted]
    verdict
  end

  # The length of the work, not a wait for something.
  def take_time(duration)
    case duration
    when :pass then 3.times { Thread.pass }
    when :sleep then sleep(0.0005)
    end
  end

  def follow_up(message)
    enqueue(:enqueue, message)
  end

  def enqueue_all(steps)
    steps.each do |action, argument|
      case action
      when :revoke then revoke(argument)
      when :pass then Thread.pass
      when :flush then @surprises << "flush returned a negative number" if @manager.flush.negative?
      when :report then @manager.report(detailed: true)
      when :stats then look_at(@manager.stats)
      else enqueue(action, argument)
      end
    end
  end

  def enqueue(action, message)
    @log << [:enqueue_call, message]
    accepted = offer(action, message)
    @log << (accepted ? [:enqueued, message] : [:turned_away, message])
  rescue WorkShaper::Full, WorkShaper::ShuttingDown
    @log << [:turned_away, message]
  end

  def offer(action, message)
    arguments = [@schedule.key_of(message), message, message.partition.dup, message.offset]
    case action
    when :try_enqueue then @manager.try_enqueue(*arguments)
    when :timed_enqueue then @manager.enqueue(*arguments, timeout: 0.002)
    else @manager.enqueue(*arguments)
    end
  end

  def revoke(partition)
    @log << [:revoke_call, partition]
    dropped = @manager.revoke(partition.dup)
    @log << [:revoke_return, partition, dropped]
  end

  def look_at(stats)
    limits = { waiting: @schedule.settings[:max_in_flight], running: @schedule.settings[:concurrency],
               workers: @schedule.settings[:concurrency] }
    limits.each do |name, limit|
      @surprises << "stats[:#{name}] is #{stats[name]}, not 0..#{limit}" unless stats[name].between?(0, limit)
    end
  end

  def stop_meanwhile
    @random.rand(0..30).times { Thread.pass }
    @manager.shutdown(timeout: LIMIT)
  end

  def finish
    case @schedule.ending
    when :drain
      @surprises << "drain did not return true" unless @manager.drain(timeout: LIMIT) == true
      look_at_drained(@manager.stats)
    when :request_shutdown then @manager.request_shutdown
    when :shutdown_elsewhere then Thread.new { @manager.shutdown(timeout: LIMIT) }.join
    end
    @manager.shutdown(timeout: LIMIT)
  end

  def look_for_threads
    left = Thread.list.map(&:name).grep(/\Awork_shaper (?!log\z)/) # that one is waited for, but not for ever
    @surprises << "after shutdown there is left #{left}" unless left.empty?
  end

  def look_at_drained(stats)
    left = stats.slice(:in_flight, :waiting, :running, :sub_keys).reject { |_, count| count.zero? }
    @surprises << "after drain there is left #{left}" unless left.empty?
  end
end
