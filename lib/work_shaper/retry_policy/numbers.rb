# frozen_string_literal: true

module WorkShaper
  class RetryPolicy
    # Checks numbers. Those from the environment are Strings, and a keyword may be one, too.
    module Numbers
      # The largest number of attempts or seconds: 2**31 - 1, as in {Settings}.
      LARGEST = (2**31) - 1

      # The largest number of bytes: 2**62 - 1.
      MOST_BYTES = (2**62) - 1

      DECIMAL = /\A\d+(\.\d+)?\z/
      private_constant :DECIMAL

      class << self
        # @param value [Object] what the user wrote
        # @param source [String] where, for the error
        # @return [Integer, Float] the number of attempts; Float::INFINITY: unlimited
        # @raise [TypeError, ArgumentError]
        def attempts(value, source)
          return Float::INFINITY if [:unlimited, "unlimited"].include?(value)

          number = parse(value)
          return number if number.is_a?(Integer) && number.between?(1, LARGEST)

          refuse(value, source, "an Integer from 1 to #{LARGEST}, a String of its digits, or :unlimited",
                 Integer, String, Symbol)
        end

        # @return [Integer, Float, nil] seconds; nil: none
        # @raise [TypeError, ArgumentError]
        def seconds_or_none(value, source)
          return if value.nil?

          number = real(value)
          return number if number&.between?(0, LARGEST) && number.positive?

          refuse(value, source, "seconds > 0 and <= #{LARGEST}, or nil: none", Numeric, String)
        end

        # @return [Integer, Float] seconds, 0 included
        # @raise [TypeError, ArgumentError]
        def seconds(value, source)
          number = real(value)
          return number if number&.between?(0, LARGEST)

          refuse(value, source, "seconds from 0 to #{LARGEST}", Numeric, String)
        end

        # @return [Integer] messages
        # @raise [TypeError, ArgumentError]
        def messages(value, source)
          whole(value, source, LARGEST, LARGEST.to_s)
        end

        # @return [Integer] bytes
        # @raise [TypeError, ArgumentError]
        def bytes(value, source)
          whole(value, source, MOST_BYTES, "#{MOST_BYTES} bytes")
        end

        # @return [Integer, Float] from 0 to 1
        # @raise [TypeError, ArgumentError]
        def jitter(value, source)
          number = real(value)
          return number if number&.between?(0, 1)

          refuse(value, source, "a number from 0 to 1", Numeric, String)
        end

        # @return [Boolean] whether it is a number of seconds, 0 included
        def seconds?(value)
          value.is_a?(Numeric) && real(value)&.between?(0, LARGEST)
        end

        # Whatever kind of number it is (Rational, BigDecimal, ActiveSupport's Duration), as one that C knows.
        #
        # @return [Integer, Float, nil] nil: it is no real number, and no String of one
        def real(value)
          value = parse(value)
          return unless value.is_a?(Numeric) && value.real?

          number = Integer === value ? value : value.to_f
          number unless number.is_a?(Float) && number.nan?
        end

        # @return [Object] the number that a String of decimal digits stands for; anything else as it is
        def parse(value)
          return value unless value.is_a?(String) && value.ascii_only? && value.match?(DECIMAL)

          value.include?(".") ? value.to_f : Integer(value, 10)
        end

        # @param kinds [Array<Module>] of which type a value is not wrong in type
        # @raise [TypeError, ArgumentError] always
        def refuse(value, source, accepted, *kinds)
          error = kinds.any? { |kind| value.is_a?(kind) } ? ArgumentError : TypeError
          raise error, "#{source} is #{value.inspect}; it must be #{accepted}"
        end

        private

        def whole(value, source, most, up_to)
          number = parse(value)
          return number if number.is_a?(Integer) && number.between?(1, most)

          refuse(value, source, "an Integer from 1 to #{up_to}, or a String of its digits", Integer, String)
        end
      end
    end
  end
end
