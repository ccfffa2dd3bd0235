# frozen_string_literal: true

module WorkShaper
  module Testing
    # What a session has seen so far.
    #
    # @private
    class Record
      OUTCOMES = { skip: :skipped, stop: :stopped, done: :given_up }.freeze

      # @return [Integer]
      attr_reader :seed
      # @return [Array<Hash>] the lines of the log
      attr_reader :log

      def initialize(seed)
        @seed = seed
        @worked = []
        @dead_letters = []
        @log = []
      end

      # A try begins. Until there is another outcome, it was cut off.
      #
      # @param item [SubKey::Item]
      # @return [Work]
      def try(item)
        sub_key = item.sub_key.key
        work = Work.new(item.message, (sub_key unless sub_key.equal?(item.message)), item.attempt)
        @worked << work
        work
      end

      # What became of it.
      #
      # @param outcome [Symbol]
      def ended(work, outcome, **more)
        work.__send__(:ended, outcome, **more)
      end

      # What Recovery tells of the message that was tried.
      def tell(work, event, fields)
        case event
        when :failure then ended(work, work.outcome, error: fields[:error])
        when :retry then ended(work, :retried, wait: fields[:wait])
        when :give_up then ended(work, OUTCOMES.fetch(fields[:action], work.outcome))
        when :dead_letter then ended(work, :dead_lettered, topic: fields[:dead_letter_topic])
        end
      end

      # @param letter [Hash{Symbol => Object}] what would be produced
      # @param partition [Integer] to which
      def dead_letter(letter, partition)
        place = [letter[:topic], partition]
        offset = @dead_letters.count { |sent| [sent.topic, sent.partition] == place }
        time = letter[:timestamp]
        @dead_letters << Message.new(**letter, partition: partition, offset: offset,
                                               timestamp: time && Time.at(time.to_r / 1000))
      end

      def result(committed)
        Result.new(worked: @worked.map(&:dup), acknowledged: committed, dead_letters: @dead_letters.dup,
                   log: @log.dup, seed: @seed)
      end
    end
  end
end
