# frozen_string_literal: true

module WorkShaper
  module Testing
    class Expectation
      # That exactly these messages had tries that ended in a certain way, those of one sub key in this order. With no
      # message named: that there was any.
      #
      # @private
      class Tries < Expectation
        WORDS = { done: "worked on", retried: "tried again", dead_lettered: "dead-lettered" }.freeze

        # @param outcome [Symbol] of {Work}
        # @param meant [Array] what {Wanted} takes
        # @param topic [String, nil] of dead letters
        def initialize(outcome, meant, topic = nil)
          super()
          @outcome = outcome
          @wanted = meant.map { |one| Wanted.new(one) }
          @topic = topic
        end

        # That they went to this topic.
        def to(topic)
          @topic = topic
          self
        end

        def description
          "have #{WORDS.fetch(@outcome)} #{@wanted.empty? ? "a message" : @wanted.map(&:inspect).join(", ")}" \
            "#{" to #{@topic}" if @topic}"
        end

        private

        def problem(actual)
          tries = result_of(actual).worked.select do |work|
            work.outcome == @outcome && (@topic.nil? || work.topic == @topic)
          end
          return ("nothing was #{word}" if tries.empty?) if @wanted.empty?

          found = places(tries)
          return expected(tries) unless found.compact.size == @wanted.size && tries.size == @wanted.size

          "#{expected(tries)}; the order of a sub key is another" unless ordered?(tries, found)
        end

        def word
          "#{WORDS.fetch(@outcome)}#{" to #{@topic}" if @topic}"
        end

        def expected(tries)
          "expected to be #{word}: #{@wanted.map(&:inspect).join(", ")}\n" \
            "but were: #{tries.empty? ? "none" : tries.map { |work| describe(work.message) }.join(", ")}"
        end

        def describe(message)
          payload = message.payload.inspect
          "#{message.id} #{payload.length > 40 ? "#{payload[0, 40]}..." : payload}"
        end

        # Of each that is wanted the index of the try that it is, or nil.
        def places(tries)
          free = tries.each_index.to_a
          @wanted.map do |wanted|
            index = free.find { |candidate| wanted.matches?(tries[candidate].message) }
            free.delete(index)
          end
        end

        def ordered?(tries, found)
          found.group_by { |index| tries[index].sub_key }.all? do |sub_key, indexes|
            sub_key.nil? || indexes == indexes.sort
          end
        end
      end
    end
  end
end
