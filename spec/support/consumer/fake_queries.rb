# frozen_string_literal: true

require "rdkafka"

module ConsumerHelpers
  # Stands where WorkShaper::Consumer::Queries stands: what any thread may ask, and it is answered at once, unless
  # `silent`.
  class FakeQueries
    # An answer that is there already.
    Request = Struct.new(:offsets) do
      def answer(_milliseconds)
        offsets
      end

      def close; end
    end

    # Whether nobody answers; what the coordinator says instead of an answer, if anything; the first offset of every
    # partition; how many offsets behind its last message a partition ends, and librdkafka's position with it.
    attr_accessor :silent, :refusal, :beginning, :skipped
    # Topic => librdkafka's response, where something is wrong with it; topic => its id.
    attr_reader :wrong, :ids
    # How often somebody began to ask; how many requests there were that wait for a broker.
    attr_reader :rounds, :requests

    def initialize(client, log, positions)
      @client = client
      @log = log
      @positions = positions
      @beginning = @skipped = @rounds = @requests = 0
      @wrong = {}
      @ids = {}
      @astray = {}
    end

    # topic_partition => the position to which it went on with an error.
    def astray
      @astray.dup.freeze
    end

    def went_astray(place, position)
      @astray[place] = position
    end

    def sought(topic_partitions)
      topic_partitions.each { |place| @astray.delete(place) }
    end

    # Empty: the group does not know the member.
    attr_writer :member_id

    def member_id
      ask
      @member_id || "member"
    end

    # Without a request.
    def reachable?(_milliseconds)
      ask
      !silent
    end

    def request_presence
      count_request
      Request.new(silent ? nil : true)
    end

    def request_topics(names)
      count_request
      answer = ConsumerHelpers.inner(:TopicsRequest)::Answer
      Request.new(silent ? nil : names.to_h { |name| [name, answer.new(wrong.fetch(name, 0), ids[name])] })
    end

    def committed(topic_partitions, _milliseconds)
      ask
      code = refusal || (silent && -185)
      @client.forget_commit if code
      raise Rdkafka::RdkafkaError, code if code

      known = topic_partitions.to_h { |name| [name, @client.committed[name]] }
      [known, @client.commit_prepared]
    end

    def positions(topic_partitions)
      ask
      @rounds += 1
      topic_partitions.to_h { |name| [name, position(name)] }
    end

    def request_offsets(topic_partitions, offset)
      count_request
      offsets = topic_partitions.to_h { |name| [name, offset == -1 ? @log[name].size + skipped : beginning] }
      Request.new(silent ? {} : offsets)
    end

    private

    # Behind a partition's last message, what is skipped comes at once. Not known before a message was taken.
    def position(name)
      taken = @positions[name]
      return if taken.nil? || (taken.zero? && skipped.zero?)

      taken == @log[name].size ? taken + skipped : taken
    end

    def count_request
      ask
      @requests += 1
    end

    def ask
      @client.misuse << "a question after close" if @client.closed?
    end
  end
end
