# frozen_string_literal: true

module WorkShaper
  module Testing
    # Where seeds come from.
    #
    # @private
    module Seed
      VARIABLE = "WORK_SHAPER_SEED"
      LAST = :work_shaper_testing_seed # a thread variable
      LIMIT = 2**32

      class << self
        # Gives the seed of the run of a test framework, or nil.
        attr_writer :framework

        # @param given [Integer, nil]
        # @return [Integer]
        # @raise [TypeError, ArgumentError]
        def of(given)
          seed = given.nil? ? from_outside : check(given, "seed")
          Thread.current.thread_variable_set(LAST, seed)
          seed
        end

        # @return [Integer, nil] the last one that was used on this thread since it was last asked for
        def used
          Thread.current.thread_variable_get(LAST).tap { Thread.current.thread_variable_set(LAST, nil) }
        end

        private

        def from_outside
          given = ENV.fetch(VARIABLE, "")
          return check(Integer(given, 10, exception: false) || given, VARIABLE) unless given.empty?

          @framework&.call || (Random.new_seed % LIMIT)
        end

        def check(seed, source)
          return seed if seed.is_a?(Integer)

          error = seed.is_a?(String) ? ArgumentError : TypeError
          raise error, "#{source} is #{seed.inspect}; it must be an Integer"
        end
      end
    end
  end
end
