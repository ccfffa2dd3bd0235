# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::LoadTest::Report do
  def histogram(*seconds)
    WorkShaper::Histogram.new.tap { |histogram| seconds.flatten.each { |value| histogram.record(value) } }
  end

  def report(*seconds, elapsed: 2, **fields)
    described_class.new(histogram: histogram(*seconds), elapsed: elapsed, **fields)
  end

  # What the table says of the distribution: from each edge to the count and the length of the bar.
  def rows(report)
    report.to_s.scan(/^up to +(\S+ \w+) +(\d+) +[\d.]+ %(?: +(#+))?$/).to_h do |edge, count, bar|
      [edge, [Integer(count), bar.to_s.length]]
    end
  end

  it "has the numbers" do
    report = report([0.005] * 99, 0.1, rate: 50, errors: { "IOError" => 2 }, late_starts: 3)
    expect(report).to have_attributes(rate: 50, elapsed: 2, finished: 100, throughput: 50.0, late_starts: 3,
                                      errors: { "IOError" => 2 }, max: 0.1, mean: be_within(1e-9).of(0.00595))
    expect(report.latency(99)).to be_within(0.00005).of(0.005)
    expect(report.latency(99.9)).to eq(0.1)
    expect(report.histogram.count).to eq(100)
    expect(report.to_h).to match(rate: 50, elapsed: 2, finished: 100, throughput: 50.0, late_starts: 3,
                                 errors: { "IOError" => 2 }, mean: report.mean, max: 0.1,
                                 latency: include(99 => report.latency(99), 99.99 => 0.1))
    expect { report.latency(101) }.to raise_error(ArgumentError, /percent/)
  end

  it "says which model it was" do
    expect(report(1, rate: 200).to_s).to start_with("open model at 200 /s: latency from the intended start\n")
    expect(report(1, rate: 200.0).to_s).to start_with("open model at 200 /s:")
    expect(report(1, rate: 1/2r).to_s).to start_with("open model at 0.5 /s:")
    expect(report(1).to_s)
      .to start_with("closed model: a stall hides the load that would have come meanwhile\n1 finished in 2.00 s")
  end

  it "is a table" do
    text = report([0.001] * 6, [0.0042] * 3, 0.0125, elapsed: 0.5, rate: 20, late_starts: 1,
                                                     errors: { "EOFError" => 1, "IOError" => 2, "A" => 1 }).to_s
    expect(text).to eq(<<~TEXT.chomp)
      open model at 20 /s: latency from the intended start
      10 finished in 500 ms: 20.0 /s
      1 started more than 10 ms late
      4 failed
        2 IOError
        1 A
        1 EOFError

           mean  3.11 ms
           50 %  1.00 ms
           90 %  4.23 ms
           95 %  12.5 ms
           99 %  12.5 ms
         99.9 %  12.5 ms
        99.99 %  12.5 ms
            max  12.5 ms

      up to  1.2 ms  6   60.0 %  ########################################
      up to  1.5 ms  0    0.0 %
      up to    2 ms  0    0.0 %
      up to  2.5 ms  0    0.0 %
      up to    3 ms  0    0.0 %
      up to    4 ms  0    0.0 %
      up to    5 ms  3   30.0 %  ####################
      up to    6 ms  0    0.0 %
      up to    8 ms  0    0.0 %
      up to   10 ms  0    0.0 %
      up to   12 ms  0    0.0 %
      up to   15 ms  1   10.0 %  #######
    TEXT
  end

  it "has fewer rows for what is spread widely" do
    wide = rows(report(0.0009, 0.03, 3, 40))
    expect(wide.keys).to eq(["1 ms", "2 ms", "5 ms", "10 ms", "20 ms", "50 ms", "100 ms", "200 ms", "500 ms",
                             "1 s", "2 s", "5 s", "10 s", "20 s", "50 s"])
    expect(wide.values.sum(&:first)).to eq(4)
    expect(wide.values_at("1 ms", "2 ms", "50 ms", "5 s", "50 s")).to eq([[1, 40], [0, 0], [1, 40], [1, 40], [1, 40]])
    expect(rows(report([1e-9] * 1000, 500)).values_at("10 ns", "500 s")).to eq([[1000, 40], [1, 1]])
  end

  it "has at most 80 columns, whatever comes" do
    text = report([0.0015] * 200_000, 15_000_000_000, rate: 1_000_000, errors: { "E" * 100 => 7 }).to_s
    expect(text.lines.map { |line| line.chomp.length }.max).to be <= 80
    expect(text).to include("  7 EEE").and include("EEE...\n").and be_ascii_only
  end

  it "can say that nothing finished" do
    report = report(elapsed: 0, rate: 10)
    expect([report.finished, report.throughput, report.mean, report.max, report.latency(50)])
      .to eq([0, 0.0, nil, nil, nil])
    expect(report.to_s).to end_with("0 finished in 0.00 s: 0.0 /s\n0 started more than 10 ms late\n0 failed")
  end
end
