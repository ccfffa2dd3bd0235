# frozen_string_literal: true

module KafkaSpecs
  # Says what is wrong with the messages of a dead-letter topic. All messages are the rdkafka gem's.
  class Letters
    PREFIX = "__dlq.errors."
    BACKTRACE_LINES = 10

    # `letters`: what is in the topic that has so many `partitions`; `sources`: what was there to be worked on. The
    # others are what the letters must say.
    def initialize(letters, sources, partitions:, group:, attempts:, error: "fails for ever")
      @letters = letters
      @sources = sources.to_h { |message| [identity(message.topic, message.partition, message.offset), message] }
      @partitions = partitions
      @said = { "group" => group, "delivery.count" => attempts.to_s, "message" => error,
                "exception.class" => "Faults::Broken", "exception.cause" => "KeyError: no entry" }
    end

    # One sentence for each; none: all is well.
    def violations
      [wrong, out_of_order].flatten
    end

    # Partition ("topic/0") and offset of each message that is here, as often as it is.
    def origins
      @letters.map do |letter|
        identity(*%w[topic partition offset].map { |name| letter.headers[PREFIX + name] })
      end
    end

    # How many are here more than once.
    def repeats
      origins.size - origins.uniq.size
    end

    private

    def identity(topic, partition, offset)
      ["#{topic}/#{partition}", offset.to_i]
    end

    def pairs
      @letters.zip(origins)
    end

    def wrong
      pairs.flat_map do |letter, origin|
        source = @sources[origin] or next ["unknown: #{letter} of #{origin}"]
        expected = expected(source)
        found = found(letter)
        differing = expected.reject { |name, value| value === found[name] } # rubocop:disable Style/CaseEquality
        differing.map do |name, value|
          "#{name} of the letter of #{origin}: #{found[name].inspect}, not #{value.inspect}"
        end
      end
    end

    def expected(source)
      { key: source.key, payload: source.payload, timestamp: source.timestamp,
        partition: source.partition % @partitions,
        headers: source.headers.transform_values { |value| value.is_a?(Array) ? value.map(&:to_s) : value.to_s },
        said: @said.merge("topic" => source.topic, "partition" => source.partition.to_s,
                          "offset" => source.offset.to_s, "timestamp" => milliseconds(source.timestamp).to_s),
        failed_at: milliseconds(source.timestamp)..milliseconds(Time.now),
        backtrace: /\A\S+faults\.rb:\d+:in .*(\n.+){1,#{BACKTRACE_LINES - 1}}\z/ }
    end

    def found(letter)
      ours, others = letter.headers.partition { |name, _| name.start_with?(PREFIX) }
      said = ours.to_h { |name, value| [name.delete_prefix(PREFIX), value] }
      { key: letter.key, payload: letter.payload, timestamp: letter.timestamp, partition: letter.partition,
        headers: others.to_h, failed_at: said.delete("failed.at").to_i, backtrace: said.delete("backtrace"),
        said: said }
    end

    # Of each key, in the order in which they first came.
    def out_of_order
      pairs.uniq(&:last).group_by { |letter, origin| [letter.key, origin.first] }.flat_map do |_, of_key|
        of_key.each_cons(2).select { |(_, first), (_, second)| second.last <= first.last }
              .map { |pair| "order: the letter of #{pair[1].last} comes after that of #{pair[0].last}" }
      end
    end

    def milliseconds(time)
      (time.to_r * 1_000).to_i
    end
  end
end
