# frozen_string_literal: true

module WorkShaper
  # Gives a block no more than so many seconds: then {Timeout} is raised inside it, and nowhere else.
  #
  # A raise into a thread may come late. So it is masked on that thread but inside the block; who raises and who leaves
  # the block agree under a lock whether it came in time; and what was raised too late is taken off the thread before
  # anything else runs there. (The timeout library of Ruby 3.1 has no masks, and starts a thread for each call.)
  #
  # All blocks have the same limit, so the first to begin is the first to be due: the watcher looks at one only.
  #
  # @private
  class TimeLimit
    # Seconds after the exception, when work that ignores it is told of.
    PATIENCE = 1

    # The thread variable that holds the innermost block of a thread; Fibers of the block see it, too.
    CURRENT = :work_shaper_time_limit

    MASKED = { Object => :never }.freeze
    OPEN = { Object => :immediate }.freeze

    # One block that runs.
    Watched = Struct.new(:thread, :deadline, :outer, :error, :over)
    private_constant :PATIENCE, :CURRENT, :MASKED, :OPEN, :Watched

    # @param seconds [Numeric]
    # @param place [#call(thread)] returns the fields that tell the log what runs on a thread
    def initialize(seconds, place = ->(_thread) { {} })
      @seconds = seconds
      @place = place
      start_afresh
    end

    # Runs the block.
    #
    # @return [Object] what the block returns
    # @raise [Timeout] it did not end in time. When it ends while the exception is still under way, that is dropped
    def run(&block)
      Thread.handle_interrupt(MASKED) do
        watched = begin_watching
        begin
          Thread.handle_interrupt(OPEN, &block)
        ensure
          end_watching(watched)
        end
      end
    end

    # @return [Float, nil] seconds left to the block that runs on this thread; nil: none does
    def remaining
      watched = Thread.current.thread_variable_get(CURRENT)
      watched && [watched.deadline - now, 0.0].max
    end

    # Ends the watcher. Blocks that still run have no limit any more.
    def close
      @lock.synchronize do
        @closed = true
        @changed.broadcast
      end
    end

    private

    # Also in a forked child, where the watcher is gone and somebody may hold the lock for ever.
    def start_afresh
      @lock = Mutex.new
      @changed = ConditionVariable.new
      @waiting = {}.compare_by_identity # the first to begin comes first
      @fired = []
      @watcher = nil
      @closed = false
      @pid = Process.pid
    end

    def begin_watching
      start_afresh unless @pid == Process.pid
      thread = Thread.current
      watched = Watched.new(thread, now + @seconds, thread.thread_variable_get(CURRENT))
      thread.thread_variable_set(CURRENT, watched)
      @lock.synchronize do
        @waiting[watched] = true
        @changed.signal if @waiting.size == 1
        start_watcher unless @closed || @watcher&.alive?
      end
      watched
    end

    # From here on its exception is not raised any more. If it was, it may not have arrived yet.
    def end_watching(watched)
      @lock.synchronize do
        watched.over = true
        @waiting.delete(watched)
      end
      watched.thread.thread_variable_set(CURRENT, watched.outer)
      take_off(watched) if watched.error
    end

    # Takes off this thread what is on its way to it. What belongs to a block around this one goes on to that.
    def take_off(watched)
      others = nil
      begin
        Thread.handle_interrupt(OPEN) { Thread.pass }
      rescue Timeout => e
        others = e unless e.equal?(watched.error)
        retry
      end
      raise others if others
    end

    # The watcher

    def start_watcher
      @watcher = Thread.new do
        Thread.current.name = "work_shaper time limit"
        Thread.current.priority = 0 # inherited from whoever is first, like the interrupt mask
        Thread.handle_interrupt(OPEN) { @lock.synchronize { watch until @closed } }
      end
    end

    # Waits for the next time that something is due, and sees to it.
    def watch
      watched, = @waiting.first
      due = [watched&.deadline, @fired.first && (@fired.first.deadline + PATIENCE)].compact.min
      return @changed.wait(@lock) unless due

      seconds = due - now
      return @changed.wait(@lock, seconds) if seconds.positive?

      watched && watched.deadline <= now ? fire(watched) : tell(@fired.shift)
    end

    def fire(watched)
      @waiting.delete(watched)
      watched.error = Timeout.new("the work took longer than #{@seconds} s")
      watched.thread.raise(watched.error)
      @fired << watched
    rescue ThreadError
      nil # the thread is dead
    end

    # A C function that does not let Ruby in, or a mask.
    def tell(watched)
      return if watched.over || !watched.thread.alive?

      SafeLog.warn(message: "Still at work after its timeout", timeout_sec: @seconds, **@place.call(watched.thread))
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
