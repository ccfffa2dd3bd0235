# frozen_string_literal: true

# What the specs of WorkShaper::Testing share: consumers that are never run.
module TestingHelpers
  def testing
    WorkShaper::Testing
  end

  # A consumer of "orders" that connects to nothing.
  def tested(topics: "orders", config: {}, **options, &work)
    WorkShaper::Consumer.new(config: { "bootstrap.servers": "127.0.0.1:9", "group.id": "specs" }.merge(config),
                             topics: topics, **options, &work || ->(_message) {})
  end

  # One message for each payload, whose key is what the payload begins with: "a1" has the key "a".
  def messages(*payloads, **fields)
    payloads.map { |payload| { payload: payload, key: payload[/\A[a-z]+/], **fields } }
  end

  # What was worked on to the end, in order.
  def done(result)
    result.worked.select { |work| work.outcome == :done }.map { |work| work.message.payload }
  end

  # Payload, attempt and outcome of each try.
  def tries(result)
    result.worked.map { |work| [work.message.payload, work.attempt, work.outcome] }
  end
end

RSpec.configure { |config| config.include TestingHelpers, file_path: %r{spec/testing/} }
