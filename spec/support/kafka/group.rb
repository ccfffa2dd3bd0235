# frozen_string_literal: true

require_relative "../../../support/kafka/child_process"
require_relative "../../../support/kafka/native"

module KafkaSpecs
  # What the broker knows of a consumer group, asked by a client that never joins it.
  class Group
    TIMEOUT_MS = 5_000

    # What was committed of each partition ("topic/0") at some moment before `at`.
    Sample = Struct.new(:at, :partition, :committed)

    attr_reader :servers, :name, :topics

    # How often it was asked what is committed, by `watch`.
    attr_reader :looks

    # `topics`: { name => number of partitions }
    def initialize(servers, name, topics)
      @servers = servers
      @name = name
      @topics = topics
      @samples = []
      @last = {}
      @looks = @slowest = 0
      @making = Mutex.new
    end

    # "topic/0" => offset; nil where nothing is committed. Asks again while a broker or the group changes.
    def committed
      patiently { ask }
    end

    # Commits the first offset of every partition. Of one without a commit librdkafka asks the broker for the first
    # offset when it is assigned; if it is revoked meanwhile it asks once more, and goes back to the answer although the
    # partition has come back with a commit (docs/decisions/023).
    def begin_at_first
      list = Rdkafka::Consumer::TopicPartitionList.new
      @topics.each do |topic, partitions|
        list.add_topic_and_partitions_with_offsets(topic, (0...partitions).to_h { |partition| [partition, 0] })
      end
      client.commit(list)
      self
    end

    # Partitions were added to a topic.
    def grow(topic)
      @topics = @topics.merge(topic.name => topic.partitions)
    end

    # Asks again and again what is committed, until `samples` is asked for or the group is closed.
    def watch
      @watching = true
      @watcher = Thread.new { sample while @watching }
      @watcher.name = "committed offsets of #{name}"
      self
    end

    # How long the broker took at most to say what is committed, in milliseconds.
    def slowest_answer_ms
      @slowest / 1_000_000.0
    end

    # Every change that was seen.
    def samples
      @watching = false
      @watcher.join
      sample
      @samples
    end

    # How many members it has. (Only of a group of the classic protocol brokers say it so.) Asks again as `committed`
    # does.
    def member_count
      patiently { count_members }
    end

    def close
      @watching = false
      @watcher&.join
      @client&.close
    end

    private

    PAUSE_SEC = 0.003
    private_constant :PAUSE_SEC

    def patiently
      deadline = KafkaSupport::ChildProcess.now + (6 * TIMEOUT_MS * 1_000_000)
      begin
        yield
      rescue Rdkafka::RdkafkaError
        raise if KafkaSupport::ChildProcess.now > deadline

        sleep PAUSE_SEC
        retry
      end
    end

    def count_members
      list = FFI::MemoryPointer.new(:pointer)
      error = inner { |handle| KafkaSupport::Native.rd_kafka_list_groups(handle, name, list, TIMEOUT_MS) }
      raise Rdkafka::RdkafkaError, error unless error.zero?

      groups = KafkaSupport::Native::GroupList.new(list.read_pointer)
      groups[:count].zero? ? 0 : KafkaSupport::Native::GroupInfo.new(groups[:groups])[:member_count]
    ensure
      KafkaSupport::Native.rd_kafka_group_list_destroy(list.read_pointer) unless list.read_pointer.null?
    end

    def ask
      list = Rdkafka::Consumer::TopicPartitionList.new
      @topics.each { |topic, partitions| list.add_topic(topic, (0...partitions).to_a) }
      client.committed(list, TIMEOUT_MS).to_h.flat_map do |topic, partitions|
        partitions.map { |partition| ["#{topic}/#{partition.partition}", partition.offset] }
      end.to_h
    end

    def sample
      asked = KafkaSupport::ChildProcess.now
      seen = ask
      at = KafkaSupport::ChildProcess.now
      @slowest = [@slowest, at - asked].max
      @looks += 1
      seen.each { |partition, offset| @samples << Sample.new(at, partition, offset) if offset != @last[partition] }
      @last = seen
      sleep PAUSE_SEC
    rescue Rdkafka::RdkafkaError
      sleep PAUSE_SEC # the next look shows it
    end

    # A single one, though two threads ask.
    def client
      @making.synchronize { @client ||= Rdkafka::Config.new("bootstrap.servers": servers, "group.id": name).consumer }
    end

    def inner(&block)
      client.instance_variable_get(:@native_kafka).with_inner(&block)
    end
  end
end
