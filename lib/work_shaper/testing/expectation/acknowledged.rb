# frozen_string_literal: true

module WorkShaper
  module Testing
    class Expectation
      # That of these partitions so much is committed; of others it says nothing.
      #
      # @private
      class Acknowledged < Expectation
        # @param offsets [Hash{String => Integer, nil}] by "topic/partition": the next offset; nil: none
        def initialize(offsets)
          super()
          unless offsets.is_a?(Hash) && offsets.any?
            raise ArgumentError, "#{offsets.inspect} is no Hash of partitions to the next offset: \"orders/0\" => 5"
          end

          @offsets = offsets
        end

        def description
          "have acknowledged #{@offsets}"
        end

        private

        def problem(actual)
          there = result_of(actual).acknowledged
          return if @offsets.all? { |partition, offset| there[partition] == offset }

          "expected to be acknowledged (the next offsets): #{@offsets}\nbut were: #{there}"
        end
      end
    end
  end
end
