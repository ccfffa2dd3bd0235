# frozen_string_literal: true

module WorkShaper
  class Consumer
    # What keeps messages of topics and partitions from coming: each is told once in the log, shown in the numbers while
    # it lasts, and told once more when it is over.
    #
    # Of a topic (it is gone, or may not be read) the {Lookout} asks; librdkafka may say nothing, or once. Of a
    # partition (a damaged batch) librdkafka says it again and again, and never that it is over: that is so when a
    # message comes, or nothing is left to come.
    #
    # @private
    class Troubles
      include Clock

      TOLD_AGAIN = 60 # seconds between two lines about the same error that belongs to no topic
      OF_TOPICS = %i[unknown_topic_or_part topic_authorization_failed].freeze

      # One that lasts; `began`: monotonic seconds.
      Trouble = Struct.new(:error, :since, :began)

      # @param named [Array<String>] the topics that are to be there and may be read
      # @param assignment [Assignment]
      def initialize(named, assignment)
        @named = named
        @all = {}.freeze # by topic, or topic and partition
        @told = {}
        @lock = Mutex.new
        assignment.on_revoked { |gone| forget(gone.values) }
      end

      # librdkafka reports something. Called on the polling thread.
      #
      # @param failure [Client::Failure]
      def report(failure)
        return tell_now_and_then(failure) unless failure.topic

        of_topic = OF_TOPICS.include?(failure.code)
        return tell_now_and_then(failure) if of_topic ? !lasting?(failure) : failure.partition.negative?

        note(of_topic ? failure.topic : [failure.topic, failure.partition].freeze, failure.error)
      end

      # Messages came. Called on the polling thread.
      def came(messages)
        return if @all.empty?

        messages.map { |message| Assignment.place_of(message) }.uniq.each { |place| over(place) }
      end

      # What brokers say of topics.
      #
      # @param codes [Hash{String => Integer}] librdkafka's response by topic; 0: nothing is wrong
      def answered(codes)
        codes.each do |topic, code|
          error = Rdkafka::RdkafkaError.new(code)
          bad = code.positive? && OF_TOPICS.include?(error.code) && wanted?(topic, error.code)
          bad ? note(topic, error) : over(topic)
        end
      end

      # Those of partitions of which nothing is left to come are over.
      #
      # @yieldparam place [Array(String, Integer)]
      def settle
        @all.each_key { |place| over(place) if place.is_a?(Array) && yield(place) }
      end

      # Topics to ask about now: all that are named, or, `urgent`, those in trouble.
      #
      # @return [Array<String>]
      def topics(urgent:)
        in_trouble = @all.keys.grep(String)
        urgent ? in_trouble : @named | in_trouble
      end

      # Whether a topic is known to be there no more.
      def gone?(topic)
        @all[topic]&.error == :unknown_topic_or_part
      end

      # @return [Numeric] how long the oldest one has lasted; 0: there is none
      def oldest_sec
        @all.each_value.map { |trouble| now - trouble.began }.max || 0
      end

      # @return [Hash{String => Hash}] by topic, or partition: the error's name, and since when
      def to_h
        @all.to_h { |place, trouble| [name(place), { error: trouble.error, since: trouble.since }] }
      end

      private

      def wanted?(topic, code)
        code != :unknown_topic_or_part || @named.include?(topic)
      end

      def lasting?(failure)
        wanted?(failure.topic, failure.code)
      end

      def name(place)
        place.is_a?(Array) ? Assignment.name_of(*place) : place
      end

      def fields(place)
        place.is_a?(Array) ? { topic: place.first, partition: place.last } : { topic: place }
      end

      # Of a damaged batch librdkafka says one thing and then, reading on in it, another: the first counts.
      def note(place, error)
        return if place.is_a?(Array) && @all.key?(place)

        known = @lock.synchronize do
          before = @all[place]
          kept = before || Trouble.new(nil, Time.now, now)
          @all = @all.merge(place => Trouble.new(error.code, kept.since, kept.began).freeze).freeze
          before&.error == error.code
        end
        SafeLog.warn(message: "Nothing comes in", **fields(place), error: error.message) unless known
      end

      def over(place)
        return unless @all.key?(place)

        trouble = forget([place]).first
        return unless trouble

        SafeLog.info(message: "Trouble is over", **fields(place), error: trouble.error,
                     lasted_sec: (now - trouble.began).round)
      end

      # Returns them.
      def forget(places)
        @lock.synchronize do
          gone = @all.slice(*places)
          @all = @all.except(*places).freeze
          gone.values
        end
      end

      def tell_now_and_then(failure)
        kind = [failure.topic, failure.partition, failure.code]
        return if @told[kind] && now - @told[kind] < TOLD_AGAIN

        @told[kind] = now
        SafeLog.warn(message: "Kafka", error: failure.error.message, topic: failure.topic)
      end
    end

    private_constant :Troubles
  end
end
