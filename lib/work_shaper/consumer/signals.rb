# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Turns signals into commands.
    #
    # @private
    module Signals
      COMMANDS = { "INT" => :stop, "TERM" => :stop, "QUIT" => :stop, "TSTP" => :quiet, "TTIN" => :backtraces }.freeze

      class << self
        # Sends commands to a queue while the block runs. The handlers that were there before are put back.
        def trapped(commands)
          before = COMMANDS.to_h { |signal, command| [signal, set(signal) { commands << command }] }
          yield
        ensure
          before&.each { |signal, handler| Signal.trap(signal, handler) if handler }
        end

        private

        # Returns the handler that was there, nil where the signal does not exist.
        def set(signal, &handler)
          Signal.trap(signal, &handler) || "DEFAULT"
        rescue ArgumentError
          nil
        end
      end
    end

    private_constant :Signals
  end
end
