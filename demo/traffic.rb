# frozen_string_literal: true

module Demo
  # The messages of one run: 500 keys, the first about ten times as busy as the last. Each payload carries the run, its
  # key and its number within the key, so a consumer can tell what belongs here and in which order.
  class Traffic
    KEYS = Array.new(500) { |rank| format("key-%03d", rank) }.freeze
    WEIGHTS = Array.new(KEYS.size) { |rank| 1.0 / (rank + 50) }.freeze

    attr_reader :count

    def initialize(count)
      @count = count
      @run = "#{Process.pid}-#{Time.now.to_i}"
    end

    # Produces the messages and waits until the broker has them all.
    def produce(producer, topic)
      numbers = Hash.new(-1)
      handles = keys.map do |key|
        producer.produce(topic: topic, key: key, payload: "#{@run} #{key} #{numbers[key] += 1}")
      end
      handles.each(&:wait)
    end

    # The key and the number within the key, or nil when somebody else produced the message.
    def read(payload)
      run, key, number = payload.to_s.split
      [key, number.to_i] if run == @run
    end

    private

    def keys
      random = Random.new(42)
      limits = WEIGHTS.each_with_object([]) { |weight, sums| sums << (weight + (sums.last || 0)) }
      Array.new(count) do
        drawn = random.rand(limits.last)
        KEYS[limits.bsearch_index { |limit| limit > drawn }]
      end
    end
  end
end
