# frozen_string_literal: true

module Demo
  # The messages of one run: 100 keys, the first about ten times as busy as the last. Each payload carries the
  # run, its key and its number within the key, so a consumer can tell what belongs here and in which order.
  class Traffic
    KEYS = Array.new(100) { |rank| format("key-%03d", rank) }.freeze
    WEIGHTS = Array.new(100) { |rank| 1.0 / (rank + 10) }.freeze

    attr_reader :count

    def initialize(count)
      @count = count
      @run = "#{Process.pid}-#{Time.now.to_i}"
      random = Random.new(42)
      limits = WEIGHTS.each_with_object([]) { |weight, sums| sums << (weight + (sums.last || 0)) }
      @keys = Array.new(count) do
        drawn = random.rand(limits.last)
        KEYS[limits.bsearch_index { |limit| limit > drawn }]
      end
    end

    # How much of all messages the busiest key has. One key is worked on by one worker at a time, so this share
    # bounds what any number of workers can gain.
    def busiest_share
      @keys.tally.values.max.fdiv(count)
    end

    # Produces the messages and waits until the broker has them all. Yields after each.
    def produce(producer, topic)
      numbers = Hash.new(-1)
      handles = @keys.map do |key|
        yield
        producer.produce(topic: topic, key: key, payload: "#{@run} #{key} #{numbers[key] += 1}")
      end
      handles.each(&:wait)
    end

    # The number within its key, or nil when somebody else produced the message.
    def number(message)
      run, key, number = message.payload.to_s.split
      number.to_i if run == @run && key == message.key
    end
  end

  # Checks for each key that its messages are worked on one at a time, none left out, in the order in which they
  # were produced. A key's entry is touched by its own worker only, if all is well; if not, that is what is found.
  class OrderCheck
    Entry = Struct.new(:next_number, :busy, :done, :violations)

    def initialize(traffic)
      @traffic = traffic
      @entries = Traffic::KEYS.to_h { |key| [key, Entry.new(0, false, 0, 0)] }.freeze
    end

    # Call it round the work on a message.
    def watch(message)
      number = @traffic.number(message)
      return yield unless number

      entry = @entries.fetch(message.key)
      entry.violations += 1 if entry.busy || number != entry.next_number
      entry.busy = true
      entry.next_number = number + 1
      yield
      entry.busy = false
      entry.done += 1
    end

    def done
      @entries.each_value.sum(&:done)
    end

    def violations
      @entries.each_value.sum(&:violations)
    end
  end
end
