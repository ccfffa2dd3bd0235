# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Notices by its id that a topic was deleted and made again. Offsets tell that only when they go back, of partitions
    # that stay ours; where the new log is as long as the old one was, librdkafka goes on in the middle of it.
    #
    # What brokers say counts for partitions that were ours when they were asked, and have been since: another one may
    # have begun in the new log. But not where a partition begins at the very offset that we committed last: the group
    # keeps the offsets of a topic that is deleted.
    #
    # @private
    class TopicIds
      # In place of an id. A topic that is not there when it is asked about for the first time was deleted meanwhile, or
      # is yet to come: whatever comes by that name is another one.
      NOT_THERE = :not_there

      def initialize
        @latest = {} # by topic
        @known = {} # by partition and the version since which it is ours
        @last = {} # by partition, whether it is still ours or not
        @answers = Thread::Queue.new
      end

      # Brokers said which ids topics have. May be called on any thread.
      #
      # @param ids [Hash{String => String, Symbol, nil}] by topic; nil: it has none
      # @param since [Hash{Array(String, Integer) => Integer}] {Assignment#since} when they were asked
      def answered(ids, since)
        @answers << [ids.compact, since]
      end

      # Partitions have come that go on where we left them, and so in the same log.
      #
      # @param since [Hash{Array(String, Integer) => Integer}] the versions in which they came
      def resumed(since)
        since.each { |place, version| @known[[place, version]] = @last[place] if @last.key?(place) }
      end

      # A partition began anew, in a log whose id nobody has said yet.
      #
      # @param place [Array(String, Integer)] topic and partition
      def forget(place)
        @last.delete(place)
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
        absent, ids = ids.partition { |_, id| id == NOT_THERE }.map(&:to_h)
        ids.each { |topic, id| found[topic] ||= [] unless @latest.fetch(topic, id) == id }
        @latest = { **absent, **@latest, **ids }
        (asked.to_a & ours).each do |place, version|
          id = ids[place.first] or next
          found[place.first] = [*found[place.first], place] | [] unless begun_in(place, version, id) == id
        end
      end

      # The id of the topic in whose log the partition began; that which is there now, if it is the first one known.
      def begun_in(place, version, id)
        @last[place] = @known[[place, version]] ||= id
      end
    end

    private_constant :TopicIds
  end
end
