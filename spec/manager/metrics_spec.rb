# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Metrics do
  let(:exposition) { described_class.const_get(:Exposition) }

  # Name and labels => value, of every sample.
  def samples(text)
    text.lines.grep_v(/\A#/).to_h { |line| line.chomp.rpartition(" ").values_at(0, 2) }
  end

  def histogram(*seconds)
    seconds.each_with_object(WorkShaper::Histogram.new) { |value, histogram| histogram.record(value) }
  end

  it "adds up all managers that are at work, not those that have stopped" do
    gate = self.gate
    Array.new(2) do |n|
      shaper = manager(work: ->(message, *) { message == :bad ? raise(IOError) : gate.pass })
      shaper.enqueue(:a, :bad, 0, 0)
      (n + 1).times { |offset| shaper.enqueue(:b, :held, 0, offset + 1) }
    end
    other = manager
    other.enqueue(:key, 0, 0, 0)
    drained(other).shutdown
    eventually { gate.waiting == 2 }
    expect(samples(described_class.text))
      .to include("work_shaper_enqueued_total" => "5", "work_shaper_attempts_total" => "2",
                  "work_shaper_failures_total{class=\"IOError\"}" => "2", "work_shaper_running" => "2",
                  "work_shaper_waiting" => "1", "work_shaper_breaker_open" => "0",
                  "work_shaper_work_duration_seconds_count" => "2")
    gate.open
  end

  it "names each family once, with its type and before its samples" do
    drained(manager.tap { |shaper| shaper.enqueue(:key, 0, 0, 0) }) # it counts from when its threads have begun
    lines = described_class.text.lines
    names = lines.map do |line|
      line[/\A# (?:HELP|TYPE) (\S+)/, 1] || line[/\A\w+/].sub(/_(bucket|sum|count)\z/, "")
    end
    expect(names).to include("work_shaper_enqueued_total")
    expect(names.chunk_while(&:eql?).map(&:first)).to eq(names.uniq)
    expect(lines.grep(/# TYPE/).size).to eq(names.uniq.size)
  end

  describe "as text" do
    let(:families) { { things: [:counter, "Things."], depth: [:gauge, "Depth."], took_seconds: [:histogram, "Took."] } }

    def text(openmetrics, &block)
      exposition.new(families, openmetrics).tap(&block).to_s
    end

    it "is Prometheus' format" do
      written = text(false) do |made|
        made.add(:things, 2, kind: "a")
        made.add(:things, 3, kind: "a")
        made.add(:things, nil, kind: "b")
        made.add(:depth, 0.5)
      end
      expect(written).to eq(<<~TEXT)
        # HELP things_total Things.
        # TYPE things_total counter
        things_total{kind="a"} 5
        # HELP depth Depth.
        # TYPE depth gauge
        depth 0.5
      TEXT
    end

    it "is OpenMetrics when that is wanted" do
      written = text(true) { |made| made.add(:things, true) }
      expect(written).to eq("# HELP things Things.\n# TYPE things counter\nthings_total 1\n# EOF\n")
    end

    it "has cumulative buckets, sum and count of a histogram" do
      written = text(false) do |made|
        made.merge(:took_seconds, histogram(0.0005, 0.02))
        made.merge(:took_seconds, histogram(0.02, 400))
      end
      expect(samples(written)).to include(
        "took_seconds_bucket{le=\"0.001\"}" => "1", "took_seconds_bucket{le=\"0.01\"}" => "1",
        "took_seconds_bucket{le=\"0.025\"}" => "3", "took_seconds_bucket{le=\"300.0\"}" => "3",
        "took_seconds_bucket{le=\"+Inf\"}" => "4", "took_seconds_count" => "4", "took_seconds_sum" => /\A400\.0/
      )
    end

    it "escapes what a label holds, whatever that is" do
      written = text(false) { |made| made.add(:depth, 1, key: "a\"b\\c\nd\xFF") }
      expect(written).to include("depth{key=\"a\\\"b\\\\c\\nd?\"} 1\n")
    end
  end
end
