# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Notices by its id that a topic was deleted and made again. Offsets tell that only when they go back, of partitions
    # that stay ours; where the new log is as long as the old one was, librdkafka goes on in the middle of it.
    #
    # What brokers say counts for partitions that were ours when they were asked, and have been since: another one may
    # have begun in the new log.
    #
    # @private
    class TopicIds
      def initialize
        @latest = {} # by topic
        @known = {} # by partition and the version since which it is ours
        @answers = Thread::Queue.new
      end

      # Brokers said which ids topics have. May be called on any thread.
      #
      # @param ids [Hash{String => String, nil}] by topic; nil: it has none, or is not there
      # @param since [Hash{Array(String, Integer) => Integer}] {Assignment#since} when they were asked
      def answered(ids, since)
        @answers << [ids.compact, since]
      end

      # Goes through the answers since the last call.
      #
      # @param since [Hash{Array(String, Integer) => Integer}] {Assignment#since} now
      # @return [Hash{String => Array<Array(String, Integer)>}] the topics that have another id than they had, with
      #   those of their partitions that have been ours since before
      def made_again(since)
        return {} if @answers.empty?

        ours = since.to_a
        @known = @known.slice(*ours)
        found = {}
        compare(*@answers.pop, ours, found) until @answers.empty?
        found
      end

      private

      def compare(ids, asked, ours, found)
        ids.each { |topic, id| found[topic] ||= [] unless @latest.fetch(topic, id) == id }
        @latest.merge!(ids)
        (asked.to_a & ours).each do |place, version|
          id = ids[place.first] or next
          found[place.first] = [*found[place.first], place] | [] unless (@known[[place, version]] ||= id) == id
        end
      end
    end

    private_constant :TopicIds
  end
end
