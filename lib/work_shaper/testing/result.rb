# frozen_string_literal: true

module WorkShaper
  module Testing
    # What came of {Testing.consume} or a {Session}.
    class Result
      # @return [Array<Work>] every try, in the order in which they ended
      # @example
      #   result.worked.map { |work| [work.message.offset, work.attempt, work.outcome] } #=> [[0, 1, :done]]
      attr_reader :worked

      # @return [Hash{String => Integer}] what is committed of each partition, by "topic/partition": the next offset to
      #   be read, as Kafka has it and as `committed` in {Consumer#stats}
      # @example
      #   result.acknowledged #=> { "orders/0" => 5 }
      attr_reader :acknowledged

      # @return [Array<Message>] as the topics have them: with the headers that production writes, but the partition of
      #   the message (nobody asks how many there are), and offsets in the order in which they were sent. Another
      #   consumer can be given them
      # @example
      #   result.dead_letters.first.headers["__dlq.errors.message"] #=> "no amount"
      attr_reader :dead_letters

      # @return [Array<Hash{Symbol => Object}>] the lines, each with its `level` (:info, :warn or :error)
      # @example
      #   result.log.map { |line| line[:message] } #=> ["Error processing", "Skipped"]
      attr_reader :log

      # @return [Integer] with it, the same happens again
      # @example
      #   WorkShaper::Testing.consume(consumer, messages, seed: result.seed)
      attr_reader :seed

      # @!visibility private
      def initialize(worked:, acknowledged:, dead_letters:, log:, seed:)
        @worked = worked.freeze
        @acknowledged = acknowledged.freeze
        @dead_letters = dead_letters.freeze
        @log = log.freeze
        @seed = seed
      end

      # @return [Array<Work>] the tries that failed and were followed by another one, or would be
      # @example
      #   result.retried.map(&:wait) #=> [1.1, 2.3]
      def retried
        worked.select { |work| work.outcome == :retried }
      end

      # @return [String] the numbers, and the seed
      def inspect
        "#<#{self.class} #{worked.size} tries, acknowledged #{acknowledged}, #{dead_letters.size} dead letters, " \
          "seed #{seed}>"
      end
    end
  end
end
