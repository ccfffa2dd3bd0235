# frozen_string_literal: true

# The assertions of work_shaper/testing/minitest: those that pass, and what those say that fail.

require "logger"
require "minitest"
require "work_shaper/testing/minitest"

class AssertionsTest < Minitest::Test
  MESSAGES = [{ payload: "a1", key: "a" }, { payload: "a2", key: "a" }, { payload: "b1", key: "b" }].freeze

  def consumer(**options, &work)
    WorkShaper::Consumer.new(config: { "bootstrap.servers": "127.0.0.1:9", "group.id": "specs" }, topics: "orders",
                             **options, &work)
  end

  def result
    @result ||= WorkShaper::Testing.consume(
      consumer(attempts: 2, give_up: "dead") { |message| raise "bad" if message.key == "b" }, MESSAGES
    )
  end

  def test_passes
    assert_worked result, "a1", "a2"
    assert_retried result, "b1"
    assert_dead_lettered result, "b1", to: "dead"
    assert_acknowledged result, { "orders/0" => 3 }
    refute_dead_lettered WorkShaper::Testing.consume(consumer(&:key), MESSAGES)
    rows = {}
    assert_repeatable(consumer { |message| rows[message.id] = message.payload }, MESSAGES) { rows }
    assert_equal Minitest.seed, result.seed if Minitest.respond_to?(:seed)
  end

  def test_fails_in_order
    assert_worked result, "a2", "a1"
  end

  def test_fails_to_acknowledge
    assert_acknowledged result, { "orders/0" => 2 }
  end

  def test_fails_by_a_dead_letter
    refute_dead_lettered result
  end

  def test_fails_to_repeat
    rows = []
    assert_repeatable(consumer { |message| rows << message.payload }, MESSAGES) { rows }
  end

  def test_fails_in_the_work
    WorkShaper::Testing.consume(consumer { |message| assert message.key == "b", "a key of the work" }, MESSAGES)
  end

  def test_fails_elsewhere
    result
    flunk "elsewhere"
  end

  def test_skipped
    result
    skip "for now"
  end
end

exit Minitest.run(ARGV)
