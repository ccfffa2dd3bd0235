# frozen_string_literal: true

require_relative "clock"
require_relative "own_thread"

module WorkShaper
  # Writes lines to the log for threads that have to go on whatever the logger does: nobody may read the pipe that it
  # writes to, or a thread may have died with its lock.
  #
  # A thread writes them one after the other, and ends when there are no more. Who hands a line over waits until it is
  # written, so lines come in order and nothing is lost by a kill; but not for longer than PATIENCE, and not at all
  # while others have lost their patience and the writer has not caught up since. Of the lines that wait there are MOST
  # at most; of what is too much, the number is written.
  #
  # @private
  class LogWriter
    include Clock

    NAME = "work_shaper log"
    PATIENCE = 1 # seconds
    MOST = 1000 # lines

    NEVER = { Object => :never }.freeze # made beforehand: making a Hash calls `hash`

    # A line to be written, and whether that is over.
    Line = Struct.new(:write, :over)
    private_constant :NEVER, :Line

    # @yieldparam count [Integer] how many lines were dropped; the block writes a line that says so
    def initialize(&tell_dropped)
      @tell_dropped = tell_dropped
      @pid = Process.pid
      @lock = Mutex.new
      @progress = ConditionVariable.new
      @lines = []
      @dropped = 0
      @late = @writing = false
    end

    # A forked child has its parent's lines, which are not its own to write.
    def forked?
      @pid != Process.pid
    end

    # @yield writes the line, and must raise nothing that is no matter of the whole process
    def write(&block)
      return (yield unless @late) if dying? || Thread.current.equal?(@thread)

      line = Line.new(block, false)
      hand_over(line)
      nil
    rescue ThreadError # no thread could be started, or this is a trap handler
      @lines.delete_if { |waiting| waiting.equal?(line) }
      yield unless line&.over
    end

    # Waits until all lines are written and the thread is gone, PATIENCE at most.
    def flush
      limit = now + PATIENCE
      @lock.synchronize { wait(limit) { @lines.empty? } }
      @thread&.join([limit - now, 0].max)
      nil
    rescue ThreadError
      nil # it is called by the logger
    end

    private

    # It starts no thread any more: the process may be ending, and would wait for that.
    def dying?
      Thread.current.status == "aborting"
    end

    def hand_over(line)
      limit = now + PATIENCE
      @lock.synchronize do
        next @dropped += 1 if @lines.size >= MOST

        @lines << line
        see_to_writer
        @late = true unless @late || wait(limit) { line.over }
      end
    end

    # Returns whether the block became true in time. A writer that somebody killed is replaced.
    def wait(limit)
      until (over = yield) || now >= limit
        see_to_writer
        @progress.wait(@lock, limit - now)
      end
      over
    end

    def see_to_writer
      return if @lines.empty? || (@writing && @thread.alive?)

      Thread.handle_interrupt(NEVER) do # two threads would write the same line
        @thread = start
        @writing = true
      end
    end

    def start
      OwnThread.start(NAME, -> { @lock.synchronize { end_writer } }) { write_lines }
    end

    def write_lines
      while (line = following)
        begin
          line.write.call
        ensure
          over(line)
        end
      end
    end

    # The next line; it is the first one of @lines until it is written. Nil: this thread is to end.
    def following
      dropped = @lock.synchronize { @dropped.tap { @dropped = 0 } }
      @tell_dropped.call(dropped) if dropped.positive?
      @lock.synchronize { @lines.first || end_writer }
    end

    def over(line)
      @lock.synchronize do
        line.over = true
        @lines.shift if @lines.first.equal?(line)
        @late = false if @lines.empty?
        @progress.broadcast
      end
    end

    def end_writer
      @writing = false if Thread.current.equal?(@thread)
      @progress.broadcast
      nil
    end
  end

  private_constant :LogWriter
end
