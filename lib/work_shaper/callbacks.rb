# frozen_string_literal: true

module WorkShaper
  # Checks what a manager or a consumer is to call.
  module Callbacks
    # What each is called with.
    ARGUMENTS = {
      work: "message, partition, offset", on_done: "message, partition, offset",
      on_error: "exception, message, partition, offset", ack: "partition, offset",
      block: "message", sub_key: "message", around: "message, &work", oauth_token: ""
    }.freeze

    class << self
      # @param name [Symbol] which of the callbacks
      # @param callback [#call] what was passed for it
      # @param arguments [String] what it is called with
      # @return [#call] what to call: the callback itself, or for a Method a lambda, which is faster to call
      # @raise [TypeError] it does not answer `call`
      # @raise [ArgumentError] it is a lambda or Method that cannot take the arguments, or a lambda that cannot take
      #   the block
      def check(name, callback, arguments = ARGUMENTS.fetch(name))
        count = arguments.split(", ").grep_v(/&/).size
        unless callback.respond_to?(:call)
          raise TypeError, "#{name} is #{callback.inspect}; it must answer call, with #{count} arguments"
        end
        return callback unless strict?(callback)

        unless takes?(callback, count)
          given = count.zero? ? "none" : "#{count}: #{arguments}"
          raise ArgumentError, "#{name} takes #{describe(callback)}; it is called with #{given}"
        end
        if arguments.include?("&") && !takes_block?(callback)
          raise ArgumentError, "#{name} takes #{describe(callback)} and no block, which it is to call; it must be " \
                               "->(#{arguments}), or a Method or an object whose call yields"
        end

        callback.is_a?(Method) ? callback.to_proc : callback
      end

      private

      def strict?(callback)
        callback.is_a?(Method) || (callback.is_a?(Proc) && callback.lambda?)
      end

      def takes?(callback, count)
        kinds = callback.parameters.map(&:first)
        return false if kinds.include?(:keyreq)

        required = kinds.count(:req)
        kinds.include?(:rest) ? required <= count : count.between?(required, required + kinds.count(:opt))
      end

      # A lambda cannot yield to the block that it is called with; a Method can.
      def takes_block?(callback)
        callback.is_a?(Method) || callback.parameters.any? { |kind, _name| kind == :block }
      end

      def describe(callback)
        parameters = callback.parameters
        return "no arguments" if parameters.empty?

        "(#{parameters.map { |kind, name| "#{kind} #{name}".strip }.join(", ")})"
      end
    end
  end

  private_constant :Callbacks
end
