# frozen_string_literal: true

require "tmpdir"
require_relative "../support/kafka/checker"
require_relative "../support/kafka/group"
require_relative "../../support/kafka/topic"

# The specs on Kafka are worth what their checker sees: each way to be wrong is shown to it here.
RSpec.describe KafkaSpecs::Checker do
  around { |example| Dir.mktmpdir { |directory| example.metadata[:directory] = directory and example.run } }

  let(:directory) { RSpec.current_example.metadata[:directory] }

  # Offsets 0 to 5 of t/0 with the keys a, b, a, b, a, b; their ids are 100 and up.
  let(:produced) do
    (0..5).map { |offset| KafkaSupport::Produced.new("t/0", offset, offset.even? ? "a" : "b", 100 + offset) }
  end

  # Moments are in milliseconds. "+0" is a start of offset 0, "-0" its end, "!0" its failure, "dead0" that its dead
  # letter is confirmed; other words are written as they are.
  def log(member, script, died_at: nil, paused_at: nil)
    lines = script.map do |at, what|
      nanoseconds = at * 1_000_000
      offset = what[/\A(?:[+!-]|dead)(\d+)\z/, 1].to_i
      case what
      when /\A\+\d/ then "+ #{nanoseconds} t/0 #{offset} #{offset.even? ? "a" : "b"} #{100 + offset}"
      when /\A(-|!|dead)\d/ then "#{what[/\D+/]} #{nanoseconds} t/0 #{offset}"
      else what.sub(" ", " #{nanoseconds} ")
      end
    end
    path = File.join(directory, member)
    File.write(path, lines.map { |line| "#{line}\n" }.join)
    KafkaSpecs::WorkLog.new(member, path).read.tap do |read|
      read.died_at = died_at && (died_at * 1_000_000)
      read.paused_at = paused_at && (paused_at * 1_000_000)
    end
  end

  # All offsets given, one after the other, in ten milliseconds each.
  def in_turn(*offsets, from:)
    offsets.each_with_index.flat_map do |offset, index|
      [[from + (10 * index), "+#{offset}"], [from + (10 * index) + 9, "-#{offset}"]]
    end
  end

  def sample(at, committed)
    KafkaSpecs::Group::Sample.new(at * 1_000_000, "t/0", committed)
  end

  def check(*logs, **options)
    described_class.new(produced: produced, logs: logs, **options)
  end

  it "finds nothing where nothing is wrong" do
    sound = log("m", [[0, "assigned t/0"], *in_turn(0, 1, 2, 3, 4, 5, from: 10),
                      [100, "revoke t/0"], [101, "revoked t/0"]])
    checker = check(sound, samples: [sample(5, nil), sample(31, 2), sample(80, 6)])

    expect([checker.violations, checker.repeats, checker.handovers]).to eq([[], 0, []])
  end

  it "tells how much longer than it should the slowest piece of work took" do
    slow = log("m", [[0, "assigned t/0"], *in_turn(0, 1, from: 10), [40, "+2"], [65, "-2"], [70, "+3"]])

    expect(check(slow).overrun_ms(20)).to eq(5)
  end

  it "lets keys overlap with each other" do
    script = [[0, "assigned t/0"], [10, "+0"], [11, "+1"], [20, "-1"], [21, "+3"], [22, "-3"], [23, "-0"]]

    expect(check(log("m", script + in_turn(2, 4, 5, from: 30))).violations).to be_empty
  end

  it "sees a message that was lost" do
    checker = check(log("m", [[0, "assigned t/0"], *in_turn(0, 1, 2, 3, 4, from: 10)]))

    expect(checker.violations).to eq(["lost: t/0:5 (b)"])
  end

  it "sees a message that only began" do
    checker = check(log("m", [[0, "assigned t/0"], *in_turn(0, 1, 2, 3, 4, from: 10), [70, "+5"]], died_at: 80))

    expect(checker.violations).to eq(["lost: t/0:5 (b)"])
  end

  it "sees what was never produced, and another message's key or payload" do
    script = [[0, "assigned t/0"], [5, "+ t/0 7 a 107"], [6, "- t/0 7"], *in_turn(1, 2, 3, 4, 5, from: 30),
              [90, "+ t/0 0 a 109"], [95, "- t/0 0"]]
    checker = check(log("m", script))

    expect(checker.violations).to include("never produced: t/0:7 (a) with id 107, at m",
                                          "never produced: t/0:0 (a) with id 109, at m")
  end

  it "sees a message that starts before one of its key that lies below it" do
    checker = check(log("m", [[0, "assigned t/0"], *in_turn(0, 1, 4, 2, 3, 5, from: 10)]))

    expect(checker.violations).to eq(["order: t/0:4 (a) started at m before the end of one below it",
                                      "order: t/0:2 (a) after 4 at m"])
  end

  it "sees two of a key that overlap" do
    script = [[0, "assigned t/0"], [10, "+0"], [15, "+2"], [20, "-0"], [25, "-2"], *in_turn(1, 3, 4, 5, from: 30)]

    expect(check(log("m", script)).violations)
      .to eq(["order: t/0:2 (a) started at m before the end of one below it",
              "overlap: t/0:2 (a) at m with t/0:0 (a) at m"])
  end

  it "sees a repetition that overlaps with what still runs in the same process" do
    script = [[0, "assigned t/0"], [10, "+0"], [15, "revoke t/0"], [16, "revoked t/0"], [17, "assigned t/0"],
              [20, "+0"], [25, "-0"], [28, "-0"], *in_turn(1, 2, 3, 4, 5, from: 30)]

    expect(check(log("m", script)).violations).to eq(["overlap: t/0:0 (a) at m with t/0:0 (a) at m"])
  end

  describe "with two members" do
    let(:first) do
      [[0, "assigned t/0"], *in_turn(0, 1, from: 10), [31, "+2"], [35, "revoke t/0"], [36, "revoked t/0"], [60, "-2"]]
    end

    it "lets the second repeat what still runs at the first, and counts it" do
      second = [[37, "assigned t/0"], [40, "+2"], [41, "-2"], *in_turn(3, 4, 5, from: 42)]
      checker = check(log("m", first), log("n", second))

      expect([checker.violations, checker.repeats, checker.overlapping_repeats]).to eq([[], 1, 2])
    end

    it "sees one that overlaps without a repetition" do
      second = [[37, "assigned t/0"], [38, "+4"], [55, "-4"], *in_turn(3, 5, from: 70)]

      expect(check(log("m", first), log("n", second)).violations)
        .to include("overlap: t/0:4 (a) at n with t/0:2 (a) at m")
    end

    it "sees what starts long after the partition was revoked, or was never assigned" do
      late = first + in_turn(3, from: 400)
      second = in_turn(4, 5, from: 500)

      expect(check(log("m", late), log("n", second)).violations)
        .to eq(["fence: t/0:3 (b) started at m after its partition was revoked",
                "not assigned: t/0:4 (a) started at n",
                "not assigned: t/0:5 (b) started at n"])
    end

    it "sees a repetition from below what was committed" do
      second = [[70, "assigned t/0"], *in_turn(0, 1, 2, 3, 4, 5, from: 80)]
      checker = check(log("m", first), log("n", second), samples: [sample(65, 2)])

      expect(checker.violations).to eq(["rewound: t/0:0 (a) at n, though 2 was committed",
                                        "rewound: t/0:1 (b) at n, though 2 was committed"])
    end

    it "tells partitions that were lost from those that were given back" do
      lost = [[0, "assigned t/0"], *in_turn(0, 1, from: 10), [35, "lost t/0"], [35, "revoke t/0"], [36, "revoked t/0"]]
      checker = check(log("m", lost), log("n", [[37, "assigned t/0"], *in_turn(1, 2, 3, 4, 5, from: 70)]))

      expect([checker.violations, checker.lag_ms(:lost), checker.lag_ms(:revoked)]).to eq([[], 6, 0])
    end

    it "measures how late the commits were at a revoke and at a death" do
      revoked = check(log("m", first), log("n", [[37, "assigned t/0"], *in_turn(1, 2, 3, 4, 5, from: 70)]))
      expect(revoked.violations).to be_empty
      expect([revoked.lag_ms(:revoked), revoked.lag_ms(:died), revoked.repeats]).to eq([6, 0, 2])

      died = check(log("m", [[0, "assigned t/0"], *in_turn(0, 1, from: 10)], died_at: 50),
                   log("n", [[60, "assigned t/0"], *in_turn(0, 1, 2, 3, 4, 5, from: 70)]))
      expect(died.violations).to be_empty
      expect([died.lag_ms(:revoked), died.lag_ms(:died), died.repeats]).to eq([0, 31, 2])
    end

    it "does not count what the next one had no time to repeat against the one that had it first" do
      between = [[37, "assigned t/0"], [38, "+2"], [39, "revoke t/0"], [40, "revoked t/0"], [45, "-2"]]
      again = [*first, [61, "assigned t/0"], *in_turn(2, 3, 4, 5, from: 62)]
      checker = check(log("m", again), log("n", between))

      expect([checker.violations, checker.repeats, checker.handovers]).to eq([[], 2, []])
    end

    it "does not fault what a paused member starts before it hears of its loss, only what it starts after" do
      paused = [[0, "assigned t/0"], *in_turn(0, 1, from: 10), [31, "+2"], [200, "-2"], [201, "+3"], [202, "-3"],
                [203, "revoke t/0"], [204, "revoked t/0"], [900, "+5"], [901, "-5"]]
      other = [[100, "assigned t/0"], [110, "+2"], [111, "-2"], [120, "+3"], [205, "-3"], *in_turn(4, 5, from: 220)]
      strict = check(log("m", paused, paused_at: 40), log("n", other))
      lenient = check(log("m", paused, paused_at: 40), log("n", other), zombies: ["m"])

      expect(strict.violations).to include("owners: t/0 came to n while m had it")
      expect(lenient.violations).to eq(["fence: t/0:5 (b) started at m after its partition was revoked"])
    end

    it "does not have others wait for what ran when a member was paused and is still running" do
      paused = [[0, "assigned t/0"], [10, "+0"], [300, "-0"], [301, "revoke t/0"], [302, "revoked t/0"]]
      next_one = [[100, "assigned t/0"], *in_turn(0, from: 110), [121, "revoke t/0"], [122, "revoked t/0"]]
      others = [[130, "assigned t/0"], *in_turn(1, 2, 3, 4, 5, from: 140)]
      found = [nil, 40, 305].map do |at|
        check(log("m", paused, paused_at: at || 40), log("n", next_one), log("o", others), zombies: at ? ["m"] : [])
          .violations.grep(/overlap/)
      end

      expect(found).to match([contain_exactly(/t.0:2 .* at o/, /t.0:4 .* at o/), [], found.first])
    end
  end

  describe "with work that fails" do
    let(:others) { in_turn(1, 3, 5, from: 200) }

    it "takes what failed and is tried again at once for no repetition" do
      checker = check(log("m", [[0, "assigned t/0"], [10, "+0"], [15, "!0"], [20, "+0"], [25, "!0"],
                                *in_turn(0, 2, 4, from: 40), *others]))

      expect([checker.violations, checker.repeats, checker.retries, checker.given_up]).to eq([[], 0, 2, []])
    end

    it "takes a message for finished when its dead letter is confirmed, and counts what is finished twice" do
      script = [[0, "assigned t/0"], [10, "+0"], [15, "!0"], [20, "dead0"], *in_turn(2, 4, from: 30), *others]
      early = check(log("m", script), samples: [sample(19, 1)])
      sound = check(log("m", [*script, [300, "revoke t/0"], [301, "revoked t/0"]]),
                    log("n", [[400, "assigned t/0"], *in_turn(0, from: 410)]), samples: [sample(20, 1)])

      expect(early.violations).to eq(["committed: 1 of t/0 before all below it were finished"])
      expect(sound.violations).to eq(["rewound: t/0:0 (a) at n, though 1 was committed"])
      expect([sound.given_up, sound.repeats, sound.repeated_finishes]).to eq([[["t/0", 0]], 1, 1])
    end

    it "sees a message that failed and is neither tried again nor a dead letter" do
      checker = check(log("m", [[0, "assigned t/0"], *in_turn(0, 2, from: 10), *others, [300, "+4"], [310, "!4"]]))

      expect(checker.violations).to eq(["lost: t/0:4 (a)"])
    end

    it "sees one that starts while one below it waits, also where that one is repeated" do
      script = [[0, "assigned t/0"], [10, "+0"], [15, "!0"], [20, "+2"], [25, "-2"], [30, "+0"], [35, "-0"],
                *in_turn(4, from: 40), *others]
      again = [[400, "assigned t/0"], [410, "+0"], [415, "!0"], [420, "+2"], [425, "-2"]]
      checker = check(log("m", [*script, [300, "revoke t/0"], [301, "revoked t/0"]]), log("n", again))

      expect(checker.violations).to eq(["order: t/0:2 (a) started at m before the end of one below it",
                                        "order: t/0:2 (a) after 0 at m", "order: t/0:0 (a) after 2 at m",
                                        "order: t/0:2 (a) after 0 at n"])
    end

    it "sees one that starts before the dead letter of one below it is confirmed" do
      script = [[0, "assigned t/0"], [10, "+0"], [15, "!0"], [20, "+2"], [22, "dead0"], [25, "-2"],
                *in_turn(4, from: 40), *others]

      expect(check(log("m", script)).violations)
        .to eq(["order: t/0:2 (a) started at m before the end of one below it", "order: t/0:2 (a) after 0 at m"])
    end
  end

  it "sees a message that comes twice within one assignment" do
    checker = check(log("m", [[0, "assigned t/0"], *in_turn(0, 1, 2, 3, 2, 4, 5, from: 10)]))

    expect([checker.violations, checker.repeats]).to eq([["order: t/0:2 (a) after 2 at m"], 1])
  end

  it "sees what was committed before all below it was finished" do
    sound = log("m", [[0, "assigned t/0"], [10, "+0"], *in_turn(1, 3, 5, from: 11), [90, "-0"],
                      *in_turn(2, 4, from: 91)])

    expect(check(sound, samples: [sample(89, 1), sample(92, 2)]).violations)
      .to eq(["committed: 1 of t/0 before all below it were finished"])
    expect(check(sound, samples: [sample(91, 1), sample(92, 2)]).violations).to be_empty
  end

  it "sees a committed offset that goes back" do
    sound = log("m", [[0, "assigned t/0"], *in_turn(0, 1, 2, 3, 4, 5, from: 10)])

    expect(check(sound, samples: [sample(80, 6), sample(90, 4)]).violations)
      .to eq(["committed: t/0 went back from 6 to 4"])
    expect(check(sound, samples: [sample(80, 6), sample(90, 4)], commits_repeated: true).violations).to be_empty
  end

  it "lets commits be repeated in the moments that are given, and in no others" do
    sound = log("m", [[0, "assigned t/0"], *in_turn(0, 1, 2, 3, 4, 5, from: 10)])
    samples = [sample(80, 6), sample(90, 4)]
    found = [85..95, 91..95].map do |from_to|
      moments = (from_to.begin * 1_000_000)..(from_to.end * 1_000_000)
      check(sound, samples: samples, commits_repeated: [moments]).violations
    end

    expect(found).to eq([[], ["committed: t/0 went back from 6 to 4"]])
  end

  it "lets commits be repeated when a member had hung up on the coordinator, and not before or long after" do
    sound = log("m", [[0, "assigned t/0"], *in_turn(0, 1, 2, 3, 4, 5, from: 10), [2_000, "hung_up "]])
    found = [1_400, 2_100, 7_100].map do |at|
      check(sound, samples: [sample(80, 6), sample(at, 4)]).violations
    end

    expect(found).to eq([["committed: t/0 went back from 6 to 4"], [], ["committed: t/0 went back from 6 to 4"]])
  end

  it "lets two have a partition only when the second got it in an outage" do
    first = log("m", [[0, "assigned t/0"], *in_turn(0, 1, 2, from: 10), [400, "revoke t/0"], [401, "revoked t/0"]])
    second = log("n", [[200, "assigned t/0"], *in_turn(3, 4, 5, from: 210)])
    found = [150..250, 50..150].map do |from_to|
      check(first, second, outages: [(from_to.begin * 1_000_000)..(from_to.end * 1_000_000)]).violations
    end

    expect(found).to eq([[], ["owners: t/0 came to n while m had it"]])
  end

  it "lets work of a key overlap with that of another member only in an outage" do
    first = log("m", [[0, "assigned t/0"], [10, "+0"], [20, "-0"], [200, "+2"], [300, "-2"]])
    second = log("n", [[150, "assigned t/0"], [250, "+4"], [260, "-4"], *in_turn(1, 2, 3, 5, from: 270)])
    found = [140..255, 140..245].map do |from_to|
      check(first, second, outages: [(from_to.begin * 1_000_000)..(from_to.end * 1_000_000)]).violations.grep(/overlap/)
    end

    expect(found).to eq([[], ["overlap: t/0:4 (a) at n with t/0:2 (a) at m"]])
  end

  it "looks at one topic, and at the attempts that are chosen, when it is given logs about these" do
    both = log("m", [[0, "assigned t/0 u/0"], *in_turn(0, 1, 2, 3, 4, 5, from: 10), [90, "+1"], [95, "-1"]])
    other = both.about("u")
    chosen = both.about("t") { |attempt| attempt.started < 90_000_000 }

    expect([other.attempts, other.tenures.map(&:partition)]).to eq([[], ["u/0"]])
    expect(check(chosen).violations).to be_empty
    expect(check(both.about("t")).violations).not_to be_empty
  end

  it "knows gaps: what was never produced is not missed" do
    produced.delete_at(2)
    sound = log("m", [[0, "assigned t/0"], *in_turn(0, 1, 3, 4, 5, from: 10)])

    expect(check(sound, samples: [sample(39, 3), sample(60, 6)]).violations).to be_empty
  end

  it "reads only whole lines, and the rest when it is there" do
    path = File.join(directory, "m")
    read = KafkaSpecs::WorkLog.new("m", path)
    expect(read.read.attempts).to be_empty

    File.write(path, "+ 1 t/0 0 a 100\n- 2 t/")
    expect([read.read.attempts.size, read.finished]).to eq([1, 0])
    File.write(path, "0 0\n", mode: "a")
    expect([read.read.attempts.size, read.finished]).to eq([1, 1])
  end

  it "takes a whole assignment for the end of all that was before it" do
    path = File.join(directory, "m")
    File.write(path, "assigned 1 t/0 t/1\nassigned 5 t/1\n")
    tenures = KafkaSpecs::WorkLog.new("m", path, whole_assignments: true).read.tenures

    expect(tenures.map { |tenure| [tenure.partition, tenure.from, tenure.to] })
      .to eq([["t/0", 1, 5], ["t/1", 1, 5], ["t/1", 5, nil]])
  end
end
