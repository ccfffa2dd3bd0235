# frozen_string_literal: true

require_relative "../support/kafka/suite"
require_relative "../support/kafka/failing"

RSpec.describe "A dead-letter topic", :kafka do
  include KafkaSpecs::Failing

  let(:topic) { kafka_topic(partitions: 4) }
  let(:dead) { kafka_topic(partitions: 3) }
  let(:group) { kafka_group(topic).begin_at_first }

  # Waits until `run` has raised, and returns the classes of the error and of its cause, and the text.
  def raised(member)
    event = member.await("the end of run") { |log| log.last("raised") }
    [*event.words.first(2), event.words.drop(2).join(" ")]
  end

  def headers_of(letter)
    letter.headers.transform_keys { |name| name.delete_prefix(KafkaSpecs::Letters::PREFIX) }
  end

  describe "that cannot be used" do
    it "ends run when it does not exist" do
      member = start_member("only", group, attempts: 3, give_up: "#{dead.name}-missing")

      expect(raised(member)).to match(["WorkShaper::NoTopic", "NilClass", /"#{dead.name}-missing" does not exist at /])
    end

    it "ends run when it is consumed here, by its name or by a pattern" do
      names = { "named" => [topic.name, dead.name], "matched" => ["^#{dead.name[0..-2]}"] }
      names.each do |name, topics|
        member = start_member(name, group, topics: topics, attempts: 3, give_up: dead.name)
        expect(raised(member)).to match(["WorkShaper::Error", "NilClass", /#{dead.name}" is consumed here, as "/])
      end
    end
  end

  it "gets what it takes as it came: tombstones, headers of one name; without a value they are empty" do
    headers = [["a", "1"], ["none", nil], ["a", "2"], ["empty", ""], ["größe", "3"], ["__dlq.errors.message", "old"],
               ["__dlq.errors.else", "old"]]
    sent = [topic.produce_one(2, "gone", nil, timestamp: 1_700_000_000_123, headers: headers),
            topic.produce_one(3, "bytes", "0\x00\xFF".b, timestamp: 1_700_000_000_456, headers: []),
            topic.produce_one(1, nil, "0", timestamp: 1_700_000_000_789, headers: [%w[x y]])]
    start_failing("only")
    await_committed(group, topic)
    stop_members
    expect_sound(sent)
    letters = dead.messages.to_h { |letter| [(letter.timestamp.to_r * 1_000).to_i, letter] }

    expect(letters.size).to eq(3)
    gone, bytes, keyless = letters.values_at(1_700_000_000_123, 1_700_000_000_456, 1_700_000_000_789)
    expect([gone, bytes, keyless].map { |letter| [letter.key, letter.payload, letter.partition] })
      .to eq([["gone", nil, 2], ["bytes", "0\x00\xFF".b, 0], [nil, "0", 1]])
    others = gone.headers.reject { |name, _| name.start_with?(KafkaSpecs::Letters::PREFIX) }
    expect(others.transform_keys(&:b)).to eq("a" => %w[1 2], "none" => "", "empty" => "", "größe".b => "3")
    expect(headers_of(gone)).to include("message" => "fails for ever", "timestamp" => "1700000000123", "offset" => "0")
    expect(headers_of(gone)).not_to have_key("else")
  end

  # As of Kafka 4, a topic takes nothing from beyond an hour's future, unless it says otherwise. Before, such a letter
  # was sent again for ever.
  it "gets messages of any time: one that it does not take is given that of now", kafka: :cluster do
    any = { "message.timestamp.after.max.ms" => ((2**63) - 1).to_s }
    wide = kafka_topic(settings: any)
    narrow = kafka_topic(settings: { "message.timestamp.after.max.ms" => "3600000",
                                     "message.timestamp.before.max.ms" => ((2**63) - 1).to_s })
    now = (Time.now.to_r * 1000).floor
    times = [1, now, now + 7_200_000, 253_402_300_800_000, 2**62, (2**63) - 1, -2, -62_135_596_800_000]
    times.each { |time| wide.produce_one(0, "key", "0", timestamp: time, headers: []) }
    wide_group = kafka_group(wide).begin_at_first
    start_member("only", wide_group, work: { sleep_ms: 2, fail: { for_ever_every: 1 } }, give_up: narrow.name,
                                     attempts: 1, breaker: false)
    await_committed(wide_group, wide)
    stop_members

    came = narrow.messages.map { |letter| (letter.timestamp.to_r * 1_000).to_i }
    said = narrow.messages.map { |letter| headers_of(letter)["timestamp"]&.to_i }
    expect(said).to eq([*times.first(6), nil, nil])
    expect(came.first(2)).to eq(times.first(2))
    expect(came.drop(2)).to all(be_between(now, now + 600_000))
  end

  describe "that takes only small messages", kafka: :real do
    let(:dead) { kafka_topic(settings: { "max.message.bytes" => "8000" }) }
    let(:faults) { { for_ever_every: 10, text_bytes: 1_000, backtrace_bytes: 3_000 } }

    # Of so many bytes, which cannot be compressed; what begins with 0 fails for ever.
    def message_of(bytes)
      [0, bytes.to_s, "0 #{Random.new(1).bytes(bytes - 2)}"]
    end

    it "gets them without the backtrace, then with the texts cut" do
      topic.produce_each([100, 4_000, 6_900].map { |bytes| message_of(bytes) })
      start_failing("only", fail: faults)
      await_committed(group, topic)
      stop_members

      said = dead.messages.to_h { |letter| [letter.payload.bytesize, headers_of(letter)] }
      expect(said.transform_values { |row| [row["message"].bytesize > 1_000, row.key?("backtrace")] })
        .to eq(100 => [true, true], 4_000 => [true, false], 6_900 => [false, false])
      expect(said[6_900]["message"].bytesize).to eq(200)
      expect(members.first.complaints).to be_empty
    end

    it "ends run with GaveUp, and commits nothing of the message, when nothing can be left out any more" do
      topic.produce_each([100, 8_000, 100].map { |bytes| message_of(bytes) })
      member = start_failing("only", fail: faults)
      error, cause, text = raised(member)

      expect([error, cause]).to eq(["WorkShaper::GaveUp", "Faults::Broken"])
      expect(text).to match(%r{gave up #{topic.name}/0 offset 1 after 3 attempts: .*fails for ever.*TooLarge})
      expect(group.committed["#{topic.name}/0"]).to eq(1)
      expect(dead.messages.map { |letter| letter.payload.bytesize }).to all(eq(100))
    end
  end

  describe "that is deleted while it is needed", kafka: :real, watchdog: 120 do
    # In turn, so that each that fails for ever has a key of its own, with others behind it.
    def produce_in_turn(count, keys: 110)
      topic.produce_each(Array.new(count) do |number|
        [number % keys % topic.partitions, "key-#{number % keys}", topic.payload]
      end)
    end

    # Those that wait because they fail for ever, or one before them on their key does.
    def held_up(produced)
      keys = []
      produced.select do |message|
        keys << message.key if poison([message]).any?
        keys.include?(message.key)
      end
    end

    it "holds up its keys and nobody else, and gets all when it is there again" do
      group.watch
      before = produce_in_turn(1_000)
      member = start_failing("only")
      await_committed(group, topic)
      expect_letters(before)
      dead.delete
      produced = before + (more = produce_in_turn(1_000))
      waiting = held_up(more)
      await_finished(produced.size - waiting.size)
      await_kafka(-> { "not all wait: #{member.stats}" }) { member.stats[:dead_letters_waiting] == 10 }
      await_kafka(-> { "no fourth try" }) { member.said(/Could not give up.*tries(=>|: )4/).size == 10 }

      expect([poison(more).size, waiting.size]).to match([10, be_between(30, 100)])
      expect(member.log.read.finished).to eq(produced.size - waiting.size)
      expect(places(member.log.attempts)).not_to include(*places(waiting - poison(more)))
      dead.create_again
      await_committed(group, topic)
      stop_members
      checker = expect_sound(produced, samples: group.samples)

      expect([checker.repeats, checker.retries, expect_letters(more).repeats]).to eq([0, 240, 0])
    end

    it "holds up no stop; the next member gives up what was left" do
      first = start_failing("first")
      first.await_assignment(topic.partitions)
      dead.delete
      produced = produce_in_turn(1_000)
      await_kafka(-> { "not all wait: #{first.stats}" }) { first.stats[:dead_letters_waiting] == 10 }
      first.term
      began = KafkaSupport::ChildProcess.now
      expect_stopped(first)
      expect(KafkaSupport::ChildProcess.now - began).to be < 15_000_000_000 # shutdown_timeout is 25 s
      poison(produced).each { |message| expect(group.committed[message.partition]).to be <= message.offset }
      dead.create_again
      start_failing("second")
      await_committed(group, topic)
      stop_members
      expect_sound(produced)

      expect(expect_letters(produced).repeats).to eq(0)
    end
  end
end
