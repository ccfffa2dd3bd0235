# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Asks Kafka in the background, on a thread of its own, about every second: what is committed of the partitions that
    # are ours, where they end, where they begin if something may be left. The poll loop knows none of it while a
    # partition brings no messages, and must not wait for an answer.
    #
    # @private
    class Lookout
      include Clock

      PERIOD = 1.0 # seconds between two rounds at least
      PARTITIONS = 200 # that are asked for in a second; more take longer: each costs 50 us of CPU
      ANSWER_TIME = 1000 # milliseconds for the coordinator's answer, during which nobody looks for a stop
      SLICE = 100 # milliseconds for all others, the same
      TOPICS_PERIOD = 5 # seconds between two questions about the topics
      CLOSING_TIME = 5 # seconds until its thread has ended

      # Positions as librdkafka has them; when, and in which assignment.
      Positions = Struct.new(:offsets, :asked_at, :version)

      NOTHING = Positions.new({}.freeze, 0, nil).freeze

      # What brokers said of the partitions, by topic and partition.
      #
      # @return [Hash{Array(String, Integer) => Integer, nil}] nil: nothing is committed
      attr_reader :committed

      # @return [Hash{Array(String, Integer) => Integer}]
      attr_reader :beginnings, :ends

      # @return [Reachability]
      attr_reader :reachability

      # @return [TopicIds]
      attr_reader :topic_ids

      # @param assignment [Assignment]
      # @param troubles [Troubles]
      # @param fetch_time [Numeric] seconds for which a broker may keep an answer back
      # @param events [Events::Publisher]
      # @yieldreturn [Numeric, nil] what was taken before that time is let in; nil: what is taken is left to others
      def initialize(assignment, troubles, fetch_time, events, &let_in)
        @assignment = assignment
        @troubles = troubles
        @let_in = let_in
        @let_in_at = 0
        @reachability = Reachability.new(fetch_time, events)
        @topic_ids = TopicIds.new
        @committed = @beginnings = @ends = {}.freeze
        @newer = @older = NOTHING
        @lock = Mutex.new
        @wake = ConditionVariable.new
      end

      # The block is called at the end of each round.
      def on_round(&block)
        @round_hook = block
      end

      # @param client [Client] one that a broker has answered
      def start(client)
        @client = client
        @queries = client.queries
        @requests = {}
        @over = false
        @topics_asked_at = now # what is wrong at the start librdkafka says, or else later
        @heard = true
        answered
        @thread = Thread.new do
          Thread.current.name = "work_shaper lookout"
          watch
        end
      end

      # Asks at once: there are other partitions.
      def hurry
        @lock.synchronize do
          @hurried = true
          @wake.signal
        end
      end

      # Has the coordinator of the group asked for what is committed by the block, on its thread.
      #
      # @yieldparam partitions [Array<Array(String, Integer)>]
      # @yieldparam milliseconds [Integer]
      # @yieldreturn [Hash{Array(String, Integer) => Integer, nil}]
      def ask_by(&block)
        @asker = block
      end

      # Ends its thread. An answer that is on its way is waited for.
      def close
        @over = true
        hurry
        @thread&.join(CLOSING_TIME)
      end

      # The position of a partition, as far as all before it has been let in; nil: not known.
      def position(topic_partition)
        let_in_at = @let_in.call || @let_in_at
        known = [@newer, @older].find do |positions|
          positions.version == @assignment.version && positions.asked_at < let_in_at
        end
        known && known.offsets[topic_partition]
      end

      private

      def watch
        until @over
          began = now
          round
          rest(began + [PERIOD, @assignment.partitions.size.fdiv(PARTITIONS)].max - now)
        end
        @requests.each_value(&:close)
        @client.commits.tell_refused(last: true)
      rescue Rdkafka::ClosedConsumerError, Rdkafka::ClosedInnerError
        nil # it could not be waited for
      end

      def rest(seconds)
        @lock.synchronize do
          @wake.wait(@lock, seconds) if seconds.positive? && !@hurried && !@over
          @hurried = false
        end
      end

      def round
        partitions = @assignment.partitions.values
        note_positions(partitions)
        heard = ask_committed(partitions)
        if @heard
          request(partitions, heard)
        else
          heard ||= @queries.reachable?(ANSWER_TIME)
        end
        heard = await_answers(now + PERIOD) || heard
        return if @over

        @heard = heard || @hurried
        conclude(heard)
        @round_hook&.call
      rescue Rdkafka::ClosedConsumerError, Rdkafka::ClosedInnerError
        raise
      rescue StandardError => e # numbers are no reason to stop
        SafeLog.trouble("Error in the lookout", e) unless e.message == @trouble
        @trouble = e.message
      end

      def conclude(heard)
        @client.membership.look(@assignment, heard) { @queries.member_id }
        @troubles.settle { |topic_partition| nothing_left?(topic_partition) }
        heard ? answered : unanswered
        @client.commits.tell_refused
      end

      def note_positions(partitions)
        @let_in_at = @let_in.call || return
        version = @assignment.version
        asked_at = now
        offsets = @queries.positions(partitions).freeze
        @older = @newer
        @newer = Positions.new(offsets, asked_at, version).freeze
      end

      # Returns whether anybody answered.
      def ask_committed(partitions)
        @committed = @committed.slice(*partitions).freeze
        return false if partitions.empty?

        @committed = @asker.call(partitions, ANSWER_TIME).freeze
        true
      rescue Rdkafka::RdkafkaError => e
        brokers_answer?(e)
      end

      # Errors of librdkafka's own have negative numbers.
      def brokers_answer?(error)
        error.rdkafka_response.positive?
      end

      # Only while brokers answer: a request that waits for one has librdkafka 2.8 connect again each time that fails,
      # thousands of times a second (once its session is over, too).
      def request(partitions, heard)
        request_offsets(partitions)
        request_topics
        @requests[:presence] ||= @queries.request_presence unless heard
      end

      # Not again before the last request is answered, which may be after an outage.
      def request_offsets(partitions)
        @ends = @ends.slice(*partitions).freeze
        @beginnings = @beginnings.slice(*partitions).freeze
        @requests[:ends] ||= @queries.request_offsets(partitions, Queries::LATEST) if partitions.any?
        behind = partitions.reject { |topic_partition| at_end?(topic_partition) }
        @requests[:beginnings] ||= @queries.request_offsets(behind, Queries::EARLIEST) if behind.any?
      end

      # Those in trouble in each round, so that its end is seen soon; those of partitions that have come, for their ids.
      def request_topics
        due = now - @topics_asked_at >= TOPICS_PERIOD
        since = @assignment.since
        names = @troubles.topics(urgent: !due)
        names |= [*since.keys, *@assignment.unconfirmed.keys].map(&:first) if due || !since.equal?(@asked_since)
        return if names.empty? || @requests[:topics]

        @topics_asked_at = now if due
        @asked_since = since
        @requests[:topics] = @queries.request_topics(names)
      end

      # Whether that is known of a partition. Not by librdkafka's position: that goes on with each error.
      def nothing_left?(topic_partition)
        offset = [@committed[topic_partition], @beginnings[topic_partition]].compact.max
        offset && @ends[topic_partition] && offset >= @ends[topic_partition]
      end

      def at_end?(topic_partition)
        offset = @newer.offsets[topic_partition] || @committed[topic_partition]
        offset && @ends[topic_partition] && offset >= @ends[topic_partition]
      end

      # Waits for what was requested until some time, unless somebody is in a hurry. Returns whether anybody answered.
      def await_answers(limit)
        heard = false
        until @requests.empty? || @over || @hurried
          milliseconds = ((limit - now) * 1000).to_i.clamp(0, SLICE)
          heard = @requests.keys.map { |what| receive(what, milliseconds) }.any? || heard
          break if milliseconds.zero?
        end
        heard
      end

      def receive(what, milliseconds)
        answer = @requests.fetch(what).answer(milliseconds) or return false
        @requests.delete(what).close
        note(what, answer)
      rescue Rdkafka::RdkafkaError => e
        @requests.delete(what).close
        brokers_answer?(e)
      end

      # Returns whether a broker said it, not librdkafka for want of one.
      def note(what, answer)
        case what
        when :ends then @ends = @ends.merge(answer).freeze
        when :beginnings then @beginnings = @beginnings.merge(answer).freeze
        when :topics then note_topics(answer)
        else return true
        end
        answer.any?
      end

      def note_topics(answers)
        @troubles.answered(answers.transform_values(&:code))
        ids = answers.transform_values { |answer| answer.missing? ? TopicIds::NOT_THERE : answer.id }
        @topic_ids.answered(ids, @asked_since)
      end

      def answered
        @last_report = @client.reports.last
        @reachability.answered
      end

      # Only what librdkafka said since somebody answered.
      def unanswered
        reports = @client.reports.dup
        known = reports.rindex { |report| report.equal?(@last_report) }
        @reachability.unanswered(known ? reports.drop(known + 1) : reports)
      end
    end

    private_constant :Lookout
  end
end
