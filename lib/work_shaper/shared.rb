# frozen_string_literal: true

module WorkShaper
  # What all who need it in this process share: it is opened for the first of them, and closed after the last.
  #
  # @private
  class Shared
    # Made beforehand: making a Hash calls `hash`, where an exception could come in before the mask is there.
    UNDISTURBED = { Object => :never }.freeze

    # One of them: how many hold it, and in which process.
    Held = Struct.new(:resource, :count, :pid)

    # @yieldparam key [Object] which one
    # @yieldreturn [#close]
    def initialize(&open)
      @open = open
      @lock = Mutex.new
      @held = {}
    end

    # It is there while the block runs. Whatever opening it raises is raised.
    def hold(key)
      entered = false
      undisturbed { entered = enter(key) }
      yield
    ensure
      undisturbed { leave(key) } if entered
    end

    private

    # An exception half-way would leave it open for ever.
    def undisturbed(&change)
      Thread.handle_interrupt(UNDISTURBED) { @lock.synchronize(&change) }
    end

    # A forked child has nothing of its parent's.
    def enter(key)
      @held.delete(key) unless @held[key]&.pid == Process.pid
      (@held[key] ||= Held.new(@open.call(key), 0, Process.pid)).count += 1
      true
    end

    def leave(key)
      held = @held[key]
      return unless held&.pid == Process.pid && (held.count -= 1).zero?

      @held.delete(key)
      held.resource.close
    end
  end

  private_constant :Shared
end
