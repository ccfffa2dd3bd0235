# frozen_string_literal: true

require "spec_helper"
require "objspace"

# The codec itself is tested in spec/core/test_offset_map.c and test_offset_map_hostile.c.
RSpec.describe "The map of finished offsets" do
  let(:maps) { WorkShaper.const_get(:OffsetMap) }
  let(:runs) { [102, 105, 107, 107, 110, 1109] }

  # The fields of a map that is right, in the order in which they are given.
  def fields(**others)
    { base: 100, runs: [102, 105, 107, 107, 110, 1109], anchor: 101, timestamp: 1_795_773_600_000, hash: 0xC0FFEE01,
      **others }
  end

  def encode(**others)
    maps.encode(*fields(**others).values)
  end

  def message(**others)
    WorkShaper::Message.new(topic: "orders", partition: 3, offset: 42, **others)
  end

  def fingerprint(**others)
    message(**others).send(:fingerprint)
  end

  # FNV-1a of 64 bits, folded to 32, over both parts with their sizes before them.
  def hash_of(*parts)
    bytes = parts.flat_map { |part| part ? [part.bytesize].pack("Q<").bytes + part.bytes : [255] * 8 }
    hash = bytes.inject(0xCBF29CE484222325) { |sum, byte| (sum ^ byte) * 0x100000001B3 % (2**64) }
    (hash ^ (hash >> 32)) % (2**32)
  end

  it "comes back as it was given" do
    map = maps.decode(encode, 100)
    expect(map).to have_attributes(runs: runs, last: 1109, count: 1005, anchor: [101, 1_795_773_600_000, 0xC0FFEE01])
    finished = (100..1115).select { |offset| map.finished?(offset) }
    expect(finished).to eq([*102..105, 107, *110..1109])
  end

  it "is the text that every version of this format reads" do
    expect(encode).to eq("ws1:!AsGA.~#v<!$9L~#}fr0,KgMm$P&Pv").and have_attributes(encoding: Encoding::US_ASCII)
    expect(maps.decode(encode.b.freeze, 100).runs).to eq(runs)
    expect(maps.decode(encode.encode(Encoding::UTF_8), 100).runs).to eq(runs)
  end

  it "reaches to the ends of all numbers" do
    last = (2**63) - 2
    [-(2**63), -1, 0, (2**63) - 1].product([0, (2**32) - 1]).each do |timestamp, hash|
      map = maps.decode(encode(base: 0, anchor: 0, runs: [1, last], timestamp: timestamp, hash: hash), 0)
      expect(map).to have_attributes(anchor: [0, timestamp, hash], runs: [1, last], last: last, count: last)
    end
  end

  it "says by a run that begins there that the anchor is finished, too" do
    text = encode(anchor: 102)
    expect(text).to eq("ws1:!Wp!xa~#v<!$9L~#}fr0,KgL!!!!#G~#~!97!/SS")
    map = maps.decode(text, 100)
    expect(map).to have_attributes(runs: runs, anchor: [102, 1_795_773_600_000, 0xC0FFEE01])
    expect([101, 102].map { |offset| map.finished?(offset) }).to eq([false, true])
  end

  it "is nil when nothing is finished, or there is no room" do
    expect(encode(runs: [])).to be_nil
    expect(encode(limit: 20)).to be_nil
    expect(encode(limit: 0)).to be_nil
  end

  it "keeps what is nearest when there is not room for all, by default 4,096 bytes" do
    many = Array.new(100_000) { |n| n * n }.each_cons(2).flat_map { |low, high| [low + 200, (high - 2) + 200] }.drop(6)
    [nil, 5_000, 4_096, 1_000, 60].each do |limit|
      text = encode(runs: many, limit: limit)
      kept = maps.decode(text, 100).runs
      expect(text.bytesize).to be_between((limit || 4_096).clamp(0, 4_096) - 30, (limit || 4_096).clamp(0, 4_096))
      expect(kept).to eq(many.first(kept.size)).and have_attributes(size: be_between(2, many.size - 2))
    end
  end

  it "says why a text is none" do
    expect(["", "bGVnYWN5", "größe", "\xFF\0".b].map { |text| maps.decode(text, 100) }).to all(be(:foreign))
    expect(maps.decode("ws2:abc", 100)).to be(:other_version)
    expect(["ws1:", encode.chop, encode.sub("Kg", "gK"), "#{encode} "].map { |text| maps.decode(text, 100) })
      .to all(be(:damaged))
    expect([0, 99, 101, 2**62].map { |base| maps.decode(encode, base) }).to all(be(:damaged))
  end

  describe "what it does not take" do
    # Each: the field, the error, and values that bring it.
    [
      [:base, TypeError, [nil, "100", 100.0]],
      [:base, ArgumentError, [-1, 2**63, 102]],
      [:anchor, TypeError, [nil, "101", 101.0]],
      [:anchor, ArgumentError, [-1, 99, 103, 104, 2**63]],
      [:timestamp, TypeError, [nil, Time.at(0), 1.0]],
      [:timestamp, RangeError, [2**63, -(2**63) - 1]],
      [:hash, TypeError, [nil, "1", 1.0]],
      [:hash, ArgumentError, [-1, 2**32]],
      [:hash, RangeError, [2**64]],
      [:limit, TypeError, ["4096", 1.5]],
      [:limit, ArgumentError, [-1, 2**64]],
      [:runs, TypeError, [nil, 102, "102", [nil, 105], [102, "105"], [102.0, 105], [102..105, 107]]],
      [:runs, ArgumentError, [[102], [102, 105, 107], [105, 102], [100, 105], [100, 100], [-1, 5], [102, 2**63],
                              [102, (2**63) - 1], [102, 105, 105, 107], [102, 105, 106, 107], [107, 107, 102, 105]]]
    ].each do |field, error, values|
      values.each do |value|
        it "is #{value.inspect} as #{field}: #{error}" do
          expect { encode(field => value) }.to raise_error(error)
        end
      end
    end

    it "is a text that is no String, or an offset that is none" do
      [nil, :ws1, 1, []].each { |text| expect { maps.decode(text, 100) }.to raise_error(TypeError) }
      [nil, "100", 1.0].each { |base| expect { maps.decode(encode, base) }.to raise_error(TypeError, /base/) }
      [-1, 2**63].each { |base| expect { maps.decode(encode, base) }.to raise_error(ArgumentError, /base/) }
      map = maps.decode(encode, 100)
      [nil, "102", 102.0].each { |offset| expect { map.finished?(offset) }.to raise_error(TypeError, /offset/) }
    end
  end

  describe "as an object" do
    it "is private, and works when it is frozen" do
      expect { WorkShaper::OffsetMap }.to raise_error(NameError, /private constant/)
      map = maps.decode(encode, 100).freeze
      expect(map).to have_attributes(runs: runs, last: 1109, count: 1005)
      expect(map.finished?(102)).to be(true)
    end

    it "can neither be copied, marshalled nor made without a text" do
      map = maps.decode(encode, 100)
      [-> { map.dup }, -> { map.clone }, -> { Marshal.dump(map) }, -> { maps.allocate }]
        .each { |copying| expect(&copying).to raise_error(TypeError) }
      expect { maps.new }.to raise_error(NoMethodError)
    end

    it "reports its size" do
      many = Array.new(1_000) { |n| [200 + (2 * n)] * 2 }.flatten
      expect(ObjectSpace.memsize_of(maps.decode(encode(runs: many), 100))).to be_between(16_000, 17_000)
    end

    it "may be made and read while the garbage collector runs at every allocation" do
      expect_child_to_pass(<<~RUBY, limit: 60)
        require "#{File.expand_path("../support/compaction", __dir__)}"
        maps = WorkShaper.const_get(:OffsetMap)
        runs = Array.new(300) { |n| [2 * n + 1, 2 * n + 1] }.flatten
        work = lambda do |_|
          map = maps.decode(maps.encode(0, runs, 0, -1, 7), 0)
          same([runs, [0, -1, 7], 300, 599], [map.runs, map.anchor, map.count, map.last])
          same(:damaged, maps.decode("ws1:" + "!" * 100, 0))
          raised(ArgumentError) { maps.encode(0, runs + [3, 3], 0, -1, 7) }
          map
        end
        GC.stress = true
        2.times(&work)
        GC.stress = false
        made = Array.new(200, &work)
        Compaction.move
        Compaction.verify
        check(made.all? { |map| map.runs == runs && map.finished?(599) && !map.finished?(598) }, "the same")
        passed
      RUBY
    end
  end

  # What a map is bound to: the first message that the next owner receives must have the same one.
  describe "the fingerprint of a message" do
    it "is the timestamp in milliseconds, and a hash of key and payload that is the same everywhere" do
      expect(fingerprint(key: "k", payload: "p", timestamp: Time.at(1_700_000_000, 123_456, :usec)))
        .to eq([1_700_000_000_123, hash_of("k", "p")])
      expect(fingerprint).to eq([-1, hash_of(nil, nil)])
      expect(fingerprint(key: "", payload: "größe" * 2_000)).to eq([-1, hash_of("", "größe" * 2_000)])
    end

    it "is another one for another key or payload" do
      texts = [nil, "", "a", "b", "ab", "ba", "a\0", "\0", "\0\0", "a" * 5_000, "#{"a" * 4_999}b"]
      hashes = texts.product(texts).map { |key, payload| fingerprint(key: key, payload: payload).last }
      expect(hashes.uniq.size).to eq(texts.size**2)
      expect(hashes).to all(be_between(0, (2**32) - 1))
    end

    it "does not depend on where the message comes from" do
      expect(fingerprint(payload: "p")).to eq(WorkShaper::Message.new(topic: "t", partition: 0, offset: 0, payload: "p")
                                                                 .send(:fingerprint))
    end

    it "is not for users" do
      expect { message.fingerprint }.to raise_error(NoMethodError, /private method/)
    end
  end
end
