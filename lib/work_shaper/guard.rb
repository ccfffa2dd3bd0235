# frozen_string_literal: true

module WorkShaper
  # Calls what the user wrote, where what that raises is its failure and nobody else's.
  #
  # @private
  module Guard
    # What is no failure of whoever raised it, but meant for the process.
    FATAL = [SystemExit, SignalException, NoMemoryError].freeze

    # @param recover [#call(exception)] is called with what the block raised
    # @return [Object] what the block returned, or else `recover`
    # @raise [SystemExit, SignalException, NoMemoryError] the block did
    def self.run(recover)
      yield
    rescue *FATAL
      raise
    rescue Exception => e # rubocop:disable Lint/RescueException -- a NotImplementedError is a failure, too
      recover.call(e)
    end

    # @param kind [Class] of the exception
    # @return [Exception] one that has a cause: Ruby gives it one only where it is raised
    def self.exception(kind, text, cause)
      raise kind, text, cause: cause
    rescue kind => e
      e
    end
  end

  private_constant :Guard
end
