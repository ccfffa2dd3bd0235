# frozen_string_literal: true

require_relative "../support/kafka/letters"

# What the specs on Kafka say of dead letters is worth what this sees: each way to be wrong is shown to it here.
RSpec.describe KafkaSpecs::Letters do
  message = Struct.new(:topic, :partition, :offset, :key, :payload, :timestamp, :headers, keyword_init: true)
  sent_at = Time.at(1_700_000_000, 123, :millisecond)

  let(:sources) do
    [7, 9].map do |offset|
      message.new(topic: "t", partition: 4, offset: offset, key: "k", payload: "p", timestamp: sent_at,
                  headers: { "a" => %w[1 2], "none" => nil })
    end
  end
  let(:letters) { sources.map { |source| letter(source) } }

  # As it should be.
  define_method(:letter) do |source|
    said = { "topic" => "t", "partition" => "4", "offset" => source.offset.to_s, "group" => "g",
             "delivery.count" => "3", "message" => "fails for ever", "exception.class" => "Faults::Broken",
             "exception.cause" => "KeyError: no entry", "timestamp" => "1700000000123",
             "failed.at" => "1700000000999", "backtrace" => "/spec/faults.rb:1:in `a'\n/b.rb:2:in `b'" }
    message.new(topic: "dead", partition: 1, offset: source.offset, key: "k", payload: "p", timestamp: sent_at,
                headers: { "a" => %w[1 2], "none" => "", **said.transform_keys { |name| "__dlq.errors.#{name}" } })
  end

  def check(letters)
    described_class.new(letters, sources, partitions: 3, group: "g", attempts: 3)
  end

  it "finds nothing where nothing is wrong, and knows where the letters are from" do
    expect(check(letters)).to have_attributes(violations: [], origins: [["t/4", 7], ["t/4", 9]], repeats: 0)
    expect(check([letters[0], letters[1], letters[0]])).to have_attributes(violations: [], repeats: 1)
  end

  it "sees every field and every header that is wrong" do
    { key: nil, payload: "q", timestamp: sent_at + 1, partition: 2 }.each do |name, value|
      wrong = letter(sources[0]).tap { |one| one[name] = value }
      expect(check([wrong]).violations).to match([/\A#{name} of the letter of /])
    end
    letters[0].headers.each_key do |name|
      wrong = letter(sources[0]).tap { |one| one.headers[name] = "8" }
      expect(check([wrong]).violations).to match([/ of /])
      missing = letter(sources[0]).tap { |one| one.headers.delete(name) }
      expect(check([missing]).violations).not_to be_empty
    end
  end

  it "sees a header too many" do
    %w[b __dlq.errors.b].each do |name|
      wrong = letter(sources[0]).tap { |one| one.headers[name] = "9" }
      expect(check([wrong]).violations).to match([/\A(headers|said) of the letter of /])
    end
  end

  it "sees letters of a key in another order" do
    expect(check(letters.reverse).violations).to match([%r{\Aorder: the letter of \["t/4", 7\] comes after}])
  end
end
