# frozen_string_literal: true

require "spec_helper"
require "objspace"

RSpec.describe WorkShaper::Message do
  def message(**fields)
    described_class.new(topic: "orders", partition: 3, offset: 42, **fields)
  end

  let(:bytes) { (0..255).to_a.pack("C*") }
  # 123,456 microseconds of which Kafka keeps 123 milliseconds.
  let(:time) { Time.at(1_700_000_000, 123_456, :usec) }

  describe "what it holds" do
    it "is where it comes from" do
      given = message
      expect([given.topic, given.partition, given.offset]).to eq(["orders", 3, 42])
      expect(given.topic).to be_frozen
    end

    it "is nothing, where nothing is given" do
      expect(message).to have_attributes(payload: nil, key: nil, timestamp: nil, leader_epoch: nil, headers: {})
    end

    it "is written by the leader of an epoch" do
      expect([0, 7, (2**31) - 1].map { |epoch| message(leader_epoch: epoch).leader_epoch }).to eq([0, 7, (2**31) - 1])
      expect { message(leader_epoch: -1) }.to raise_error(ArgumentError, /leader_epoch must be an Integer from 0 to/)
      expect { message(leader_epoch: "1") }.to raise_error(TypeError, /leader_epoch must be an Integer from 0 to/)
    end

    it "tells what is empty from what is not there" do
      expect(message(payload: "", key: "")).to have_attributes(payload: "", key: "")
    end

    it "is bytes, the same String each time" do
      given = message(payload: bytes, key: "k\0é")
      expect(given.payload).to eq(bytes).and have_attributes(encoding: Encoding::BINARY)
      expect(given.key).to eq("k\0é".b).and have_attributes(encoding: Encoding::BINARY)
      expect([given.payload, given.key]).to match([be(given.payload), be(given.key)])
    end

    it "can be changed in place, as with the rdkafka gem" do
      given = message(payload: "grün", key: "blau")
      given.payload.force_encoding(Encoding::UTF_8)
      given.key << "er"
      expect([given.payload, given.key]).to eq(%w[grün blauer])
    end

    it "does not change with the Strings that were given" do
      texts = Array.new(4) { +"text" }
      given = described_class.new(topic: texts[0], partition: 0, offset: 0, payload: texts[1], key: texts[2],
                                  headers: { "name" => texts[3] })
      texts.each { |text| text << " changed" }
      expect(given).to have_attributes(topic: "text", payload: "text", key: "text", headers: { "name" => "text" })
    end

    it "reaches from the first to the last partition and offset" do
      expect(described_class.new(topic: "t", partition: 0, offset: 0)).to have_attributes(partition: 0, offset: 0)
      last = { partition: (2**31) - 1, offset: (2**63) - 1 }
      expect(described_class.new(topic: "t", **last)).to have_attributes(**last)
    end

    it "is a local Time with milliseconds, the same each time" do
      given = message(timestamp: time.dup.utc)
      expect(given.timestamp).to eq(Time.at(1_700_000_000, 123, :millisecond))
      expect(given.timestamp.utc_offset).to eq(time.utc_offset)
      expect([given.timestamp]).to match([be(given.timestamp)])
    end

    it "may be as old as 1970" do
      expect(message(timestamp: Time.at(0)).timestamp).to eq(Time.at(0))
    end
  end

  describe "#headers" do
    it "are a frozen Hash of bytes, the same each time" do
      headers = message(headers: { "größe" => "zwölf" }).headers
      expect(headers).to eq("größe".b => "zwölf".b).and be_frozen
      expect([headers.keys[0].encoding, headers.values[0].encoding]).to all(be(Encoding::BINARY))
      given = message(headers: { "a" => "1" })
      expect([given.headers]).to match([be(given.headers)])
    end

    it "have an Array for a name that comes more than once" do
      expect(message(headers: { "a" => %w[1 2 1], "b" => ["1"], "c" => [] }).headers)
        .to eq("a" => %w[1 2 1], "b" => "1")
    end

    it "have nil for a header without value" do
      expect(message(headers: { "a" => nil, "b" => ["1", nil], "c" => "" }).headers)
        .to eq("a" => nil, "b" => ["1", nil], "c" => "")
    end

    it "are empty and frozen when there are none" do
      expect(message.headers).to eq({}).and be_frozen
      expect(message(headers: {}).headers).to eq({}).and be_frozen
    end
  end

  describe "as text" do
    it "shows what the rdkafka gem shows" do
      expect(message(payload: "p" * 41, key: "k" * 40, timestamp: time, headers: { "a" => %w[1 2], "b" => "" }).to_s)
        .to eq("<Message in 'orders' with key '#{"k" * 40}', payload '#{"p" * 40}...', partition 3, offset 42, " \
               "timestamp #{time}, headers 2>")
      expect(message.to_s)
        .to eq("<Message in 'orders' with key '', payload '', partition 3, offset 42, timestamp >")
    end

    it "shows bytes in any encodings, which rdkafka refuses" do
      given = message(payload: bytes.reverse, key: "größe")
      given.key.force_encoding(Encoding::UTF_8)
      expect(given.to_s).to include("key 'größe', payload '\xFF\xFE".b)
      given.key.force_encoding(Encoding::UTF_16LE)
      expect(given.to_s).to include("größe".b)
    end

    it "is inspected in one short line" do
      given = message(payload: "secret\n" * 1_000, key: "#{bytes}\n")
      expect(given.inspect).to start_with('#<WorkShaper::Message topic: "orders", partition: 3, offset: 42, key: "\x00')
      expect(given.inspect).to end_with("payload: 7000 bytes>")
      expect(given.inspect).not_to include("\n")
      expect(given.inspect.size).to be < 300
      expect(message.inspect).to end_with("key: nil, payload: nil>")
    end
  end

  describe "as an object" do
    it "is equal only to itself, and hashes by where it comes from" do
      given = message(payload: "1")
      again = message(payload: "2")
      expect(given.hash).to eq(again.hash)
      expect(given == again || given.eql?(again)).to be(false)
      expect({ given => 1, again => 2 }).to include(given => 1, again => 2)
      others = [{ topic: "orders2" }, { partition: 4 }, { offset: 43 }, { partition: 42, offset: 3 }]
      others.map! { |fields| described_class.new(topic: "orders", partition: 3, offset: 42, **fields).hash }
      expect([given.hash, *others].uniq.size).to eq(5)
    end

    it "works when it is frozen" do
      given = message(payload: "p", key: "k", headers: { "a" => "1" }, timestamp: time).freeze
      expect(given).to have_attributes(payload: "p", key: "k", headers: { "a" => "1" }, timestamp: be_a(Time))
      expect(given.to_s).to include("'orders'")
    end

    it "can neither be copied, marshalled nor made without fields" do
      given = message(payload: "p")
      [-> { given.dup }, -> { given.clone }, -> { Marshal.dump(given) }, -> { described_class.allocate }]
        .each { |copying| expect(&copying).to raise_error(TypeError) }
    end

    it "can be subclassed and given instance variables" do
      subclass = Class.new(described_class) { def key = super.to_s * 2 }
      given = subclass.new(topic: "t", partition: 0, offset: 0, key: "k")
      given.instance_variable_set(:@more, 1)
      expect(given).to be_an_instance_of(subclass).and have_attributes(key: "kk")
    end

    it "reports its size and what it refers to" do
      given = message(payload: "p" * 100)
      expect(ObjectSpace.memsize_of(given)).to be_between(72, 200)
      expect(ObjectSpace.reachable_objects_from(given)).to include(given.payload)
    end
  end

  describe "what it does not take" do
    # Each: the field, the error, and values that bring it.
    [
      [:topic, TypeError, [nil, :orders, 1, ["orders"]]],
      [:partition, TypeError, [nil, "0", 0.0, :zero]],
      [:partition, ArgumentError, [-1, 2**31, 2**64, -(2**70)]],
      [:offset, TypeError, [nil, "0", 0.0, true]],
      [:offset, ArgumentError, [-1, 2**63, 2**64, -(2**70)]],
      [:payload, TypeError, [:payload, 1, [], {}, false]],
      [:key, TypeError, [:key, 1, [], {}, false]],
      [:timestamp, TypeError, [1_700_000_000, "now", 1.0, false]],
      [:timestamp, ArgumentError, [Time.at(-1), Time.at(-1, 999, :millisecond)]],
      [:headers, TypeError, [nil, [], "a", [%w[a 1]]]],
      [:headers, TypeError, [{ a: "1" }, { nil => "1" }, { 1 => "1" }]],
      [:headers, TypeError, [{ "a" => 1 }, { "a" => :b }, { "a" => [1] }, { "a" => [["1"]] }, { "a" => {} }]]
    ].each do |field, error, values|
      values.each do |value|
        it "is #{value.inspect} as #{field}: #{error}" do
          fields = { topic: "t", partition: 0, offset: 0, field => value }
          expect { described_class.new(**fields) }.to raise_error(error, /#{field}.* must be .*, not /)
        end
      end
    end

    it "is a call without the fields it needs, with others, or without names" do
      expect { described_class.new }.to raise_error(ArgumentError, /missing keywords: :topic, :partition, :offset/)
      expect { described_class.new(topic: "t", offset: 1) }.to raise_error(ArgumentError, /missing keyword: :partition/)
      expect { message(value: 1) }.to raise_error(ArgumentError, /unknown keyword: :value/)
      expect { described_class.new("t", 0, 0) }.to raise_error(ArgumentError)
    end
  end

  describe "under the garbage collector" do
    it "may be made and read while it runs at every allocation" do
      expect_child_to_pass(<<~RUBY, limit: 60)
        make = lambda do |n|
          WorkShaper::Message.new(topic: "topic \#{n}", partition: n, offset: n, payload: "payload \#{n}", key: "key \#{n}",
                                  headers: { "one" => "1 \#{n}", "more" => ["2 \#{n}", nil, "3"] }, timestamp: Time.at(n))
        end
        GC.stress = true
        made = Array.new(5) { |n| make.call(n) }
        texts = made.map { |message| [message.to_s, message.inspect] }
        2.times { raised(TypeError) { WorkShaper::Message.new(topic: "t", partition: 0, offset: 0, payload: "p", key: 1) } }
        GC.stress = false
        made.each_with_index do |message, n|
          same(["topic \#{n}", n, n, "payload \#{n}", "key \#{n}", Time.at(n)],
               [message.topic, message.partition, message.offset, message.payload, message.key, message.timestamp])
          same({ "one" => "1 \#{n}", "more" => ["2 \#{n}", nil, "3"] }, message.headers)
          check(texts[n].all? { |text| text.include?("topic \#{n}") }, texts[n])
        end
        passed
      RUBY
    end

    # What is made on first use is young, and only the message, which may be old by then, refers to it.
    it "keeps what is made on first use, and finds what was moved" do
      expect_child_to_pass(<<~RUBY, limit: 60)
        require "#{File.expand_path("../support/compaction", __dir__)}"
        made = Array.new(2_000) do |n|
          WorkShaper::Message.new(topic: "topic \#{n}", partition: 0, offset: n, payload: "payload \#{n}", key: "key \#{n}",
                                  headers: { "name" => "header \#{n}" }, timestamp: Time.at(n))
        end
        4.times { GC.start }
        Array.new(4) { Thread.new { made.each(&:timestamp) } }.each(&:join)
        GC.start(full_mark: false)
        Array.new(20_000) { |n| "rubbish \#{n}" }
        Compaction.move
        Compaction.verify
        made.each_with_index do |message, n|
          same(["topic \#{n}", "payload \#{n}", "key \#{n}", { "name" => "header \#{n}" }, Time.at(n)],
               [message.topic, message.payload, message.key, message.headers, message.timestamp])
        end
        passed
      RUBY
    end
  end
end
