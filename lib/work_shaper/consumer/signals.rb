# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Turns the signals of the process into commands for all consumers that run in it.
    #
    # A handler may run on the main thread in the middle of anything that is done here: it takes no lock, and the list
    # that it reads is never changed, only replaced.
    #
    # @private
    module Signals
      COMMANDS = { "INT" => :stop, "TERM" => :stop, "QUIT" => :stop, "TSTP" => :quiet, "TTIN" => :backtraces }.freeze
      HANDLERS = COMMANDS.to_h { |signal, command| [signal, proc { on_signal(signal, command) }] }.freeze

      # Made beforehand: making a Hash calls `hash`, where an exception could come in before the mask is there.
      UNDISTURBED = { Object => :never }.freeze

      @lock = Mutex.new
      @running = [].freeze # the queue of each consumer
      @before = {} # the handlers that were there before ours
      @stops = 0
      @stopping = false # whether one of those that run was told to stop by a signal

      class << self
        # @return [Integer] how many signals came that stop consumers
        attr_reader :stops

        # Sends commands to a queue while the block runs. When no consumer is left, the handlers that were there before
        # are put back. A stop that came before is sent, too: see decision 058.
        #
        # @param stops [Integer] how many signals had come when the consumer was made
        def trapped(commands, stops)
          undisturbed { enter(commands, stops) }
          yield
        ensure
          undisturbed { leave(commands) }
        end

        private

        # An exception half-way would leave the handlers in place for ever.
        def undisturbed(&change)
          Thread.handle_interrupt(UNDISTURBED) { @lock.synchronize(&change) }
        end

        # In a forked child it starts afresh: the parent's consumers do not run there.
        def enter(commands, stops)
          here = Process.pid == @pid
          others = here ? @running : []
          @stopping = false if others.empty?
          @running = [*others, commands].freeze
          @pid = Process.pid
          HANDLERS.each { |signal, handler| set(signal, handler) } if others.empty?
          commands << :stop if @stopping || (here && @stops != stops)
        end

        def leave(commands)
          restore if @running == [commands]
          @running = (@running - [commands]).freeze
        end

        # Does nothing where the signal does not exist. In a forked child the handler may have been ours before.
        def set(signal, handler)
          before = Signal.trap(signal, handler)
          @before[signal] = before || "DEFAULT" unless handler.equal?(before)
        rescue ArgumentError
          nil
        end

        def restore
          @before.each { |signal, handler| Signal.trap(signal, handler) }
          @before = {}
        end

        # A child that the work forked has inherited the handler, but no consumer: there the signal does what it did
        # before.
        def on_signal(signal, command)
          return send_to_all(command) if Process.pid == @pid

          Signal.trap(signal, @before.fetch(signal, "DEFAULT"))
          Process.kill(signal, Process.pid)
        end

        def send_to_all(command)
          if command == :stop
            @stopping = true
            @stops += 1
          end
          @running.each { |commands| commands << command }
        end
      end
    end

    private_constant :Signals
  end
end
