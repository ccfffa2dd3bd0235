# frozen_string_literal: true

require_relative "../breaker"

module WorkShaper
  class RetryPolicy
    # Checks what the user says about the breaker.
    module BreakerWords
      # What counts if nothing is said.
      DEFAULTS = { share: 0.5, of: 20, wait: 5..60 }.freeze

      class << self
        # @param value [Object] what the user wrote
        # @return [Hash{Symbol => Object}, nil] share, of and wait; nil: no breaker
        # @raise [TypeError, ArgumentError]
        def check(value)
          case value
          when true then DEFAULTS
          when false then nil
          when Hash then complete(value)
          else Numbers.refuse(value, "breaker", "true, false, or a Hash of #{DEFAULTS.keys.join(", ")}")
          end
        end

        private

        def complete(value)
          unknown = value.keys - DEFAULTS.keys
          unless unknown.empty?
            raise ArgumentError, "breaker has #{unknown.map(&:inspect).join(", ")}; " \
                                 "it may have #{DEFAULTS.keys.join(", ")}"
          end

          words = DEFAULTS.merge(value)
          { share: share(words[:share]), of: of(words[:of]), wait: wait(words[:wait]) }.freeze
        end

        def share(value)
          number = value.is_a?(Numeric) ? Numbers.real(value) : nil
          return number if number&.between?(0, 1) && number.positive?

          Numbers.refuse(value, "breaker[:share]", "a number > 0 and <= 1", Numeric)
        end

        # With fewer tries than sub keys that must fail it would not open.
        def of(value)
          least = Breaker::MIN_SUB_KEYS
          return value if value.is_a?(Integer) && value.between?(least, Numbers::LARGEST)

          Numbers.refuse(value, "breaker[:of]", "an Integer from #{least} to #{Numbers::LARGEST}", Integer)
        end

        # A probe every 0 seconds would be no hold.
        def wait(value)
          return value if (value.is_a?(Numeric) || value.is_a?(Range)) && Wait.ends(value)&.first&.positive?

          Numbers.refuse(value, "breaker[:wait]", "seconds > 0, or a Range of them with both ends, like 5..60",
                         Numeric, Range)
        end
      end
    end

    private_constant :BreakerWords
  end
end
