# frozen_string_literal: true

module WorkShaper
  # A try that runs: the manager's rows with names. Its seconds are short by up to a tenth, since only the watchdog
  # looks at the clock.
  #
  # @private
  Try = Struct.new(:thread, :sub_key, :message, :partition, :offset, :seconds, :failure) do
    # Which attempt it is, 1 for the first.
    def attempt
      failure ? failure.attempt : 1
    end
  end

  private_constant :Try
end
