# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Notices by its id that a topic was deleted and made again under partitions that stay ours. Offsets tell that only
    # when they go back; where the new log is as long as the old one was, librdkafka goes on in the middle of it.
    #
    # What brokers say counts for partitions that were ours when they were asked, and have been since: another one may
    # have begun in the new log.
    #
    # @private
    class TopicIds
      def initialize
        @known = {}
        @answers = Thread::Queue.new
      end

      # Brokers said which ids topics have. May be called on any thread.
      #
      # @param ids [Hash{String => String, nil}] by topic; nil: it has none, or is not there
      # @param since [Hash{Array(String, Integer) => Integer}] {Assignment#since} when they were asked
      def answered(ids, since)
        @answers << [ids, since]
      end

      # Goes through the answers since the last call.
      #
      # @param since [Hash{Array(String, Integer) => Integer}] {Assignment#since} now
      # @return [Array<Array(String, Integer)>] the partitions whose topic is another one than it was
      def made_again(since)
        return [] if @answers.empty?

        @known = @known.select { |place, (_, known_since)| since[place] == known_since }
        found = []
        found |= compare(*@answers.pop, since) until @answers.empty?
        found
      end

      private

      def compare(ids, asked, since)
        asked.keys.select do |place|
          next unless since[place] == asked[place] && (id = ids[place.first])

          known, = @known[place] ||= [id, since[place]]
          known != id
        end
      end
    end

    private_constant :TopicIds
  end
end
