# frozen_string_literal: true

module WorkShaper
  class RetryPolicy
    # How long to wait before the next try, without jitter: doubling, always the same, or as a callable says.
    class Wait
      ACCEPTED = "seconds > 0, a Range of two such with both ends, like 1..60, a String of either, or a callable " \
                 "->(attempt, error) { seconds }"
      # Beyond this, doubling any Float > 0 gives Infinity; Math.ldexp takes no Integer that C does not.
      MOST_DOUBLINGS = 2200
      private_constant :ACCEPTED, :MOST_DOUBLINGS

      # @return [String] where the user wrote it
      attr_reader :source

      class << self
        # @param value [Object] what the user wrote
        # @param source [String] where
        # @return [Wait]
        # @raise [TypeError, ArgumentError]
        def check(value, source)
          meant = parse(value)
          if meant.is_a?(Numeric) || meant.is_a?(Range)
            ends = ends(meant)
            return new(source, *ends) if ends
          elsif meant.respond_to?(:call)
            return new(source, callable: Callbacks.check(source, meant, "attempt, error"))
          end

          Numbers.refuse(value, source, ACCEPTED, Numeric, Range, String)
        end

        # @param value [Numeric, Range]
        # @return [Array(Float, Float), nil] the first and the last wait in seconds; nil: it is not acceptable
        def ends(value)
          range = value.is_a?(Range)
          ends = range ? [value.begin, value.end] : [value, value]
          return if (range && value.exclude_end?) || !ends.all? { |seconds| Numbers.seconds?(seconds) }

          first, last = ends.map { |seconds| Float(Numbers.real(seconds)) }
          [first, last] if first.positive? && first <= last
        end

        private

        # "1..60", as it stands in the environment.
        def parse(value)
          return value unless value.is_a?(String) && value.ascii_only?

          first, last = value.split("..", 2).map { |number| Numbers.parse(number) }
          return value unless first.is_a?(Numeric) && (last.nil? || last.is_a?(Numeric))

          last ? first..last : first
        end
      end

      def initialize(source, first = nil, last = nil, callable: nil)
        @source = source
        @first = first
        @last = last
        @callable = callable
        freeze
      end

      # @param attempt [Integer] how many tries there were, at least 1
      # @param error [Exception] what the last one raised
      # @return [Float] seconds
      # @raise [Exception] whatever the callable raised
      # @raise [TypeError, ArgumentError] the callable returned no number of seconds
      def seconds(attempt, error)
        return [Math.ldexp(@first, [attempt - 1, MOST_DOUBLINGS].min), @last].min unless @callable

        seconds = @callable.call(attempt, error)
        return Float(Numbers.real(seconds)) if Numbers.seconds?(seconds)

        kind = seconds.is_a?(Numeric) ? ArgumentError : TypeError
        raise kind, "#{source} returned #{seconds.inspect}; it must be seconds >= 0 and <= #{Numbers::LARGEST}"
      end

      # @return [String] how it is shown
      def to_s
        return "a callable" if @callable

        "#{[@first, @last].uniq.map { |seconds| format("%g", seconds) }.join("..")} s"
      end

      # What counts when nothing was said.
      DEFAULT_RANGE = (1..60)
      # What counts when a callable fails.
      DEFAULT = check(DEFAULT_RANGE, "wait")
    end

    private_constant :Wait
  end
end
