# frozen_string_literal: true

require_relative "letters"

module KafkaSpecs
  # What the examples share in which work fails: `topic`, `dead` (where what is given up goes) and `group` are theirs.
  module Failing
    ATTEMPTS = 3
    TWICE_EVERY = 20
    FOR_EVER_EVERY = 100
    RETRIES = { attempts: ATTEMPTS, wait: "0.05..0.2", breaker: false }.freeze

    def start_failing(name, sleep_ms: 2, fail: { twice_every: TWICE_EVERY, for_ever_every: FOR_EVER_EVERY }, **more)
      start_member(name, group, work: { sleep_ms: sleep_ms, fail: fail }, give_up: dead.name, **RETRIES, **more)
    end

    # Those that fail for ever among all.
    def poison(produced, every: FOR_EVER_EVERY)
      produced.select { |message| (message.id % every).zero? }
    end

    # Those of these that fail for ever are in the dead-letter topic, as they came, and nothing else is. Returns what
    # was read there.
    def expect_letters(produced, every: FOR_EVER_EVERY)
      letters = Letters.new(dead.messages, topic.messages, partitions: dead.partitions, group: group.name,
                                                           attempts: ATTEMPTS)
      found = letters.violations
      expect(found.first(Helpers::SHOWN_VIOLATIONS)).to be_empty, -> { "#{found.size} violations:\n#{found.join("\n")}" }
      expect(letters.origins.uniq).to match_array(places(poison(produced, every: every)))
      letters
    end

    def places(messages)
      messages.map { |message| [message.partition, message.offset] }
    end
  end
end
