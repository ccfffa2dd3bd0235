# frozen_string_literal: true

require "spec_helper"
require "work_shaper/testing"

# The test kit decides on one thread what in production C decides for many. Both are given the same messages, of which
# some fail, in ways that are drawn at random; and the same must come of them.
RSpec.describe WorkShaper::Testing, "beside a consumer that runs" do
  include ConsumerHelpers

  after { clean_up_consumers }

  # What becomes of a message stands in its payload: how often it fails, and with what.
  let(:errors) { { "io" => IOError, "key" => KeyError, "argument" => ArgumentError, "type" => TypeError } }
  let(:dead_topic) { mock_topic }
  let(:topic) { mock_topic(partitions: 2) }

  def rows(random)
    keys = [*"a".."f", nil]
    Array.new(60) do |number|
      key = keys.sample(random: random)
      partition = key ? key.ord % 2 : random.rand(2)
      fails = random.rand(3).zero? ? random.rand(1..4) : 0
      [partition, key, "#{number} #{fails} #{errors.keys.sample(random: random)}"]
    end
  end

  def options(seen)
    { attempts: 3, wait: 0.005, breaker: false, give_up: dead_topic,
      rules: { KeyError => :skip, ArgumentError => ->(failure) { failure.message.offset.even? ? dead_topic : nil },
               TypeError => { attempts: 2, give_up: :skip } },
      on_error: ->(error, message, partition, _offset) { seen << [:failed, error.class, message.id, partition] } }
  end

  def work(seen)
    lock = Mutex.new
    failed = Hash.new(0)
    lambda do |message|
      _number, fails, error = message.payload.split
      count = lock.synchronize { failed[message.id] += 1 }
      lock.synchronize { seen << [:tried, message.key, message.partition, message.payload, message.attempt] }
      raise errors.fetch(error), message.payload if count <= fails.to_i
    end
  end

  # What was tried, in an order that does not depend on who is faster: by key; messages without a key alone.
  def by_key(seen)
    seen.select { |row| row.first == :tried }.group_by { |_, key, partition, payload| key ? [key, partition] : payload }
  end

  def in_production(rows, seen, letters)
    mock.produce(topic, rows)
    config = { "session.timeout.ms": 30_000 }
    start(mock_consumer(topic, config: config, **options(seen), &work(seen)))
    expected = rows.map(&:first).tally
    eventually("not all is committed") { mock.committed(group, topic, partitions: 2) == expected }
    start(mock_consumer(dead_topic, config: config, group: "#{group}-letters") { |message| letters << message })
    seen
  end

  def letter_of(message)
    headers = message.headers.reject { |name, _| name.match?(/backtrace|timestamp|failed\.at|group/) }
    [message.key, message.payload, headers]
  end

  2.times do |number|
    seed = (10 * RSpec.configuration.seed) + number
    it "comes to the same, in the same order per key (seed #{seed})" do
      rows = rows(Random.new(seed))
      ran, kit = Array.new(2) { Queue.new }
      letters = Queue.new
      in_production(rows, ran, letters)
      messages = rows.map { |partition, key, payload| { partition: partition, key: key, payload: payload } }
      result = testing.consume(tested(topics: topic, **options(kit), &work(kit)), messages, seed: seed)
      ran, kit = [ran, kit].map { |seen| Array.new(seen.size) { seen.pop } }
      expect(result.acknowledged).to eq(rows.map(&:first).tally.transform_keys { |partition| "#{topic}/#{partition}" })
      expect(by_key(kit)).to eq(by_key(ran))
      expect((kit - by_key(kit).values.flatten(1)).tally).to eq((ran - by_key(ran).values.flatten(1)).tally)
      eventually("letters are missing") { letters.size == result.dead_letters.size }
      letters = Array.new(letters.size) { letters.pop }
      ours, theirs = [result.dead_letters, letters].map { |sent| sent.map { |letter| letter_of(letter) } }
      expect(ours).to match_array(theirs)
    end
  end
end
