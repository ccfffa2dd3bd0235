# frozen_string_literal: true

module WorkShaper
  module Testing
    class Expectation
      # A copy of what `leaving` returned, in plain values: an Array that the work goes on to fill, or records that are
      # equal when their ids are, would compare equal to themselves.
      #
      # @private
      module Snapshot
        PLAIN = [NilClass, TrueClass, FalseClass, Numeric, Symbol].freeze
        COPIED = [String, Time].freeze

        class << self
          # @raise [TypeError] it is of a kind that cannot be compared
          def of(value)
            case value
            when *PLAIN then value
            when *COPIED then value.dup
            when Struct, Hash then pairs(value.to_h)
            else composed(value)
            end
          end

          private

          def pairs(hash)
            hash.to_h { |key, value| [of(key), of(value)] }
          end

          # A relation, say, and its records. A Date has no parts, and does not change.
          def composed(value)
            return value.to_a.map { |element| of(element) } if value.is_a?(Enumerable) || value.respond_to?(:to_ary)
            return pairs(value.attributes) if value.respond_to?(:attributes)
            return value if value.frozen? && value.is_a?(Comparable)

            raise TypeError, "what the consumer leaves has a #{value.class}; it must be numbers, Strings, times, " \
                             "records with attributes, and Arrays and Hashes of these"
          end
        end
      end
    end
  end
end
