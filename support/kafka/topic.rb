# frozen_string_literal: true

require_relative "producer"
require_relative "reader"

module KafkaSupport
  # A message on the broker. `partition` is "topic/0", as the manager of a Consumer calls it; `id` is what its payload
  # begins with, one of its kind in the topic; 0 without a payload.
  Produced = Struct.new(:partition, :offset, :key, :id)

  # A topic of one example, under a name that nothing else has.
  class Topic
    attr_reader :name, :partitions

    # `settings`: those of the topic, such as cleanup.policy.
    def initialize(broker, partitions: 1, settings: {})
      @broker = broker
      @name = "specs-#{Process.pid}-#{rand(36**6).to_s(36)}"
      @partitions = partitions
      @settings = settings
      @next_id = 0
      broker.create_topic(name, partitions: partitions, settings: settings)
      @reader = Reader.new(broker.servers, name, partitions)
      high_watermarks # so that it is there
    end

    # Messages of `keys` keys in turn, in another order each round, each key on one partition. Returns them, with the
    # offsets that a topic without gaps gives them.
    def produce(count, keys:, bytes: 0, random: Random.new(RSpec.configuration.seed))
      numbers = (0...keys).to_a
      order = Enumerator.produce { numbers.shuffle(random: random) }.lazy.flat_map(&:itself).first(count)
      produce_each(order.map { |number| [number % partitions, "key-#{number}", payload(bytes)] })
    end

    # The same with keys after Zipf: the second comes half as often as the first, the third a third as often ...
    def produce_skewed(count, keys:, random: Random.new(RSpec.configuration.seed))
      weights = (1..keys).map { |rank| 1.0 / rank }
      sums = weights.each_with_object([]) { |weight, all| all << ((all.last || 0) + weight) }
      numbers = Array.new(count) { random.rand(sums.last).then { |drawn| sums.bsearch_index { |sum| sum >= drawn } } }
      produce_each(numbers.map { |number| [number % partitions, "key-#{number}", payload] })
    end

    # So many messages of which nothing is remembered.
    def fill(count, keys:, bytes:)
      (0...count).each_slice(Producer::BATCH * 5) do |numbers|
        producer.produce(name, numbers.map do |number|
          [number % keys % partitions, "key-#{number % keys}", number.to_s.ljust(bytes)]
        end)
      end
    end

    # `records`: [[partition, key, payload], ...]; a payload may be nil.
    def produce_each(records)
      offsets = high_watermarks
      producer.produce(name, records)
      produced = records.map do |partition, key, payload|
        Produced.new("#{name}/#{partition}", (offsets[partition] += 1) - 1, key, payload.to_i)
      end
      return produced if high_watermarks == offsets

      raise "#{high_watermarks} are the high watermarks after what was produced, not #{offsets}"
    end

    # One message with headers; see Producer. Returns it.
    def produce_one(partition, key, payload, **fields)
      offset = high_watermarks[partition]
      producer.produce_one(name, partition, key, payload, **fields)
      Produced.new("#{name}/#{partition}", offset, key, payload.to_i)
    end

    # Takes it away with all that is in it, and makes another of the same name. (What a client knows of the one must not
    # meet the id of the other: librdkafka from 2.4 to 2.9 then frees memory twice, its issue 4964.)
    def delete
      close
      @producer = nil
      @reader = Reader.new(@broker.servers, name, partitions)
      @broker.delete_topic(name)
    end

    def create_again
      @broker.create_topic(name, partitions: partitions, settings: @settings)
    end

    # Adds partitions up to that number.
    def grow(partitions)
      @broker.add_partitions(name, partitions)
      @partitions = partitions
      @reader.close
      @reader = Reader.new(@broker.servers, name, partitions)
      high_watermarks # so that they are there
    end

    # The id of the broker that leads a partition.
    def leader(partition)
      @broker.leader(name, partition)
    end

    # A payload with an id of its own.
    def payload(bytes = 0)
      ((@next_id += 1) - 1).to_s.ljust(bytes)
    end

    # Transactions one after the other, each of so many messages; those for which the block is false are aborted.
    # What is there then, contents says.
    def transact(transactions, of:, keys:)
      producer = Producer.new(@broker.servers, transactional: true)
      transactions.times do |index|
        numbers = Array.new(of) { |index| ((index * of) + index) % keys }
        records = numbers.map { |number| [number % partitions, "key-#{number}", payload] }
        producer.transaction(commit: yield(index)) { producer.produce(name, records) }
      end
    ensure
      producer&.close
    end

    # What a consumer gets that reads the whole topic now, aborted and compacted messages left out.
    def contents
      @reader.contents
    end

    # The same as the rdkafka gem has it.
    def messages
      @reader.messages
    end

    # partition => the offset of the next message, by number.
    def high_watermarks
      @reader.high_watermarks
    end

    def close
      @producer&.close
      @reader&.close
    end

    private

    def producer
      @producer ||= Producer.new(@broker.servers)
    end
  end
end
