# frozen_string_literal: true

require_relative "clock"

module WorkShaper
  # Gives a block no more than so many seconds: then {Timeout} is raised inside it, and nowhere else.
  #
  # A raise into a thread may come late. So it is masked on that thread but inside the block; who raises and who leaves
  # the block agree under a lock whether it came in time; and what was raised too late is taken off the thread before
  # anything else runs there. (The timeout library of Ruby 3.1 has no masks, and starts a thread for each call.)
  #
  # A block that has ended before its exception arrives has succeeded: the exception is dropped. Once it has arrived, it
  # is for the block to decide, as with any exception.
  #
  # All blocks have the same limit, so the first to begin is the first to be due: the watcher looks at one only.
  #
  # Two things it cannot do. A trap handler that raises knows no masks, so no block may run on the main thread of a
  # process with such a handler. And Ruby raises into threads, not into Fibers: a Fiber must not be left for good, or
  # for other work, from inside a block that it began.
  #
  # @private
  class TimeLimit
    include Clock

    # Seconds after the exception, when work that ignores it is told of.
    PATIENCE = 1

    # Seconds after which a watcher that has nothing to watch ends: whoever had the limit may have dropped it.
    LINGER = 0.5

    # In our own code: a kill, or what others raise, must not leave a block watched that is over.
    NOTHING = { Object => :never }.freeze

    # What the caller has masked stays masked, in the block too. That is why these name our own exception alone.
    NOT_LATE = { Timeout => :never }.freeze
    IN_TIME = { Timeout => :immediate }.freeze

    # The watcher may be killed where it waits, not between two steps that belong together.
    WHILE_WAITING = { Object => :on_blocking }.freeze

    # One block that runs: on which thread, until when, what was raised, and when the log is told.
    Watched = Struct.new(:thread, :deadline, :error, :tell_at)
    private_constant :PATIENCE, :LINGER, :NOTHING, :NOT_LATE, :IN_TIME, :WHILE_WAITING, :Watched

    # @param seconds [Numeric]
    # @param place [#call(thread)] returns the fields that tell the log what runs on a thread. It is called under the
    #   lock, so that it is still that block which runs: it must be quick
    # @param raises [Boolean] whether the exception is raised; otherwise the block can only ask what remains
    def initialize(seconds, place = ->(_thread) { {} }, raises: true)
      @seconds = seconds
      @raises = raises
      @place = place
      @lock = Mutex.new
      @changed = ConditionVariable.new
      @waiting = {}.compare_by_identity # the first to begin comes first
      @late = {}.compare_by_identity # the first to be late comes first
      @outermost = {}.compare_by_identity # by thread
      @wakes_at = Float::INFINITY
      @closed = false
    end

    # Runs the block.
    #
    # @return [Object] what the block returns
    # @raise [Timeout] it did not end in time
    # @raise [ThreadError] the watcher could not be started
    def run
      watched = Watched.new(Thread.current)
      Thread.handle_interrupt(NOT_LATE) do
        Thread.handle_interrupt(NOTHING) { begin_watching(watched) }
        Thread.handle_interrupt(IN_TIME) { yield } # rubocop:disable Style/ExplicitBlockArgument -- a lambda would get nil
      ensure
        # Masked anew: a Fiber that was left inside a mask of the work's own has mixed up those of the thread.
        Thread.handle_interrupt(NOTHING) { end_watching(watched) }
      end
    end

    # @return [Float, nil] seconds left to the block that runs on this thread, of several inside each other to the
    #   outermost; nil: none does
    def remaining
      watched = @outermost[Thread.current]
      watched && [watched.deadline - now, 0.0].max
    end

    # Ends the watcher. Blocks that still run have no limit any more.
    def close
      watcher = @lock.synchronize do
        @closed = true
        @changed.signal
        @watcher
      end
      watcher&.join(PATIENCE) # it may be writing to a slow log
    end

    private

    # A watcher that sleeps until an earlier block is due sleeps on, and finds this one when it wakes: waking it for
    # each block would cost more than all the rest.
    def begin_watching(watched)
      @lock.synchronize do
        start_watcher unless @closed || @watcher&.alive?
        watched.deadline = now + @seconds
        @waiting[watched] = true
        @outermost[watched.thread] ||= watched
        next unless watched.deadline < @wakes_at

        @wakes_at = watched.deadline
        @changed.signal
      end
    end

    # From here on its exception is not raised any more. If it was, it may not have arrived yet.
    def end_watching(watched)
      @lock.synchronize do
        @waiting.delete(watched)
        @late.delete(watched)
        @outermost.delete(watched.thread) if @outermost[watched.thread].equal?(watched)
      end
      take_off(watched.error) if watched.error
    end

    # Takes an exception off this thread that is still on its way to it. What belongs to a block around this one is
    # raised anew: it arrives there as soon as we have left.
    def take_off(error)
      others = []
      begin
        Thread.handle_interrupt(IN_TIME) { Thread.pass }
      rescue Timeout => e
        others << e unless e.equal?(error)
        retry # until none comes any more; Thread.pending_interrupt?(Timeout) would crash Ruby 3.1
      end
      others.each do |other|
        other.set_backtrace(nil) # to be that of where it arrives
        Thread.current.raise(other)
      end
    end

    # The watcher

    # In a forked child there is none, and those that the parent's other threads left waiting are no harm.
    def start_watcher
      @wakes_at = Float::INFINITY
      @watcher = Thread.new do
        Thread.handle_interrupt(WHILE_WAITING) do
          Thread.current.name = "work_shaper time limit"
          Thread.current.priority = 0 # inherited from whoever is first, like the interrupt mask
          loop do
            watch
            break if @closed || !@watcher.equal?(Thread.current)
          end
        end
      end
    end

    # The log is told outside the lock: it may be slow, and nobody can begin or end a block meanwhile.
    def watch
      fields = @lock.synchronize { see_to_next unless @closed }
      SafeLog.warn(message: "Still at work after its timeout", timeout_sec: @seconds, **fields) if fields
    end

    # Waits for what is due next, or raises.
    #
    # @return [Hash, nil] the fields of a block that has not ended long after the exception
    def see_to_next
      watched, = @waiting.first
      late, = @late.first
      time = now
      if watched && watched.deadline <= time
        fire(watched, time)
      elsif late && late.tell_at <= time
        return place_of(late)
      else
        @wakes_at = [watched&.deadline, late&.tell_at].compact.min || Float::INFINITY
        watched || late ? @changed.wait(@lock, @wakes_at - time) : linger(time)
      end
      nil
    end

    # The next block starts another one.
    def linger(since)
      @changed.wait(@lock, LINGER)
      @watcher = nil if @waiting.empty? && @late.empty? && now - since >= LINGER
    end

    # An exception would take the place of the kill in a thread that is being killed. (While that sleeps in an `ensure`,
    # Ruby does not tell. Such a thread lives on, "aborting", unless who runs it looks, as our workers do.)
    def fire(watched, time)
      @waiting.delete(watched)
      thread = watched.thread
      return unless thread.alive? # killed by a fork

      watched.tell_at = time + PATIENCE
      @late[watched] = true
      return if !@raises || thread.status == "aborting"

      watched.error = Timeout.new("the work took longer than #{@seconds} s")
      thread.raise(watched.error)
    end

    # Why it ignores the exception: a C function that does not let Ruby in, a mask, a rescue.
    def place_of(watched)
      @late.delete(watched)
      @place.call(watched.thread) || {} if watched.thread.alive?
    rescue StandardError
      {}
    end
  end
end
