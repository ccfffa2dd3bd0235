# frozen_string_literal: true

module WorkShaper
  # A message whose work failed: what a callable `give_up` is called with.
  #
  # @example
  #   give_up: ->(failure) { DeadLetter.create!(body: failure.message.payload, error: failure.error.message); :skip }
  class Failure
    # @return [Object] the message, as the work got it
    attr_reader :message
    # @return [Object] its partition, as it was enqueued; with a Consumer "topic/partition"
    attr_reader :partition
    # @return [Integer] its offset
    attr_reader :offset
    # @return [Exception] what its work raised the last time
    attr_reader :error
    # @return [Integer] how many attempts were used up; a try that an open breaker excuses is none
    attr_reader :attempts
    # @return [Time] when its work failed for the first time in this process
    attr_reader :first_failed_at

    # @!visibility private
    # @return [Object] what giving it up means: a topic, :skip, :stop or a callable
    attr_accessor :action
    # @!visibility private
    # @return [Integer] how often giving it up failed
    attr_reader :refusals

    # For specs of a `give_up`; a manager makes its own.
    #
    # @param message [Object]
    # @param error [Exception]
    # @param attempts [Integer]
    # @param first_failed_at [Time]
    # @param partition [Object]
    # @param offset [Integer, nil]
    # @example
    #   give_up.call(WorkShaper::Failure.new(message: message, error: ArgumentError.new("no amount")))
    def initialize(message:, error:, attempts: 1, first_failed_at: Time.now, partition: nil, offset: nil)
      @message = message
      @partition = partition
      @offset = offset
      @error = error
      @attempts = attempts
      @first_failed_at = first_failed_at
    end

    # Its work failed, once more.
    #
    # @!visibility private
    def failed(error, message, partition, offset)
      @message = message
      @partition = partition
      @offset = offset
      @error = error
      @first_failed_at ||= Time.now
      @attempts = (@attempts || 0) + 1
      @judged = true
    end

    # Its work is going to be tried again.
    #
    # @!visibility private
    def judged!
      @judged = false
    end

    # The try does not count.
    #
    # @!visibility private
    def give_back_attempt
      @attempts -= 1 if @attempts.positive?
      tell_message
    end

    # A message of Kafka knows how often it was tried.
    #
    # @!visibility private
    def tell_message
      @message.__send__(:failed_attempts=, @attempts) if Message === @message
    end

    # Giving it up failed, once more. Returns how often now.
    #
    # @!visibility private
    def refused
      @refusals = (@refusals || 0) + 1
    end

    # @return [Integer] which attempt this is: while on_error is told of it or it is given up, the one that failed
    def attempt
      (@attempts || 0) + (@judged ? 0 : 1)
    end

    # Neither the message nor the error's text, which may hold what is nobody's business.
    #
    # @return [String]
    def inspect
      "#<#{self.class} #{@partition} offset #{@offset}, #{@attempts} attempts>"
    end
  end
end
