# frozen_string_literal: true

require "objspace"
require "spec_helper"

# The arithmetic is checked in spec/core/test_histogram.c.
RSpec.describe WorkShaper::Histogram do
  subject(:histogram) { described_class.new }

  def of(*seconds)
    described_class.new.tap { |histogram| seconds.each { |value| histogram.record(value) } }
  end

  it "has nothing to say when it is empty" do
    expect(histogram.count).to eq(0)
    expect([histogram.mean, histogram.min, histogram.max, histogram.percentile(50)]).to all(be_nil)
    expect(histogram.each.to_a).to eq([])
    expect(histogram.to_h).to include(count: 0, mean: nil, percentiles: include(99.9 => nil))
    expect(histogram.inspect).to eq("#<WorkShaper::Histogram of 0 values>")
  end

  it "knows count, mean, min and max exactly" do
    histogram = of(1, 0.5, 1/8r, 0)
    expect([histogram.count, histogram.min, histogram.max]).to eq([4, 0.0, 1.0])
    expect(histogram.mean).to eq(0.40625)
    expect(histogram.record(0.25)).to be(histogram)
    expect(histogram.count).to eq(5)
  end

  it "finds percentiles by nearest rank, to less than 1 %" do
    random = Random.new(1)
    values = Array.new(1000) { 10.0**random.rand(-7.0..1.0) }.sort
    histogram = of(*values.shuffle(random: random))
    indices = { 0 => 0, 0.1 => 0, 50 => 499, 90 => 899, 99 => 989, 99.9 => 998, 99.95 => 999, 100 => 999 }
    indices.each do |percent, index|
      expect(histogram.percentile(percent)).to be_between(values[index] - 1e-9, values[index] * 1.008)
    end
    expect(histogram.percentile(100)).to eq(histogram.max)
    expect(histogram.percentile(99/2r)).to eq(histogram.percentile(49.5))
  end

  it "gives its buckets, from the lowest to the highest" do
    histogram = of(0.001, 0.001, 1e-9, 3)
    buckets = histogram.each.to_a
    expect(buckets.map(&:last)).to eq([1, 2, 1])
    expect(buckets.map(&:first)).to match([1e-9, be_between(0.001, 0.00101), be_between(3, 3.03)])
    seen = []
    expect(histogram.each { |bound, count| seen << [bound, count] }).to be(histogram)
    expect(seen).to eq(buckets)
  end

  it "may be added to while its buckets are looked at" do
    histogram = of(0.001, 1)
    histogram.each { |bucket| histogram.record(bucket.first / 2) }
    expect(histogram.count).to eq(4)
  end

  it "is merged with others, which stay as they are" do
    left = of(0.001, 0.002)
    right = of(2, 3)
    expect(left.merge(right)).to be(left)
    expect([left.count, left.min, left.max, left.mean]).to eq([4, 0.001, 3.0, 1.25075])
    expect(right.to_h).to eq(of(2, 3).to_h)
    expect(left.merge(left).count).to eq(8)
    expect([of(1), of(2)].inject(described_class.new, :merge).to_h).to eq(of(1, 2).to_h)
  end

  it "can be copied" do
    histogram = of(1, 2)
    copy = histogram.dup
    copy.record(3)
    expect([histogram.count, copy.count, copy.min, copy.max]).to eq([2, 3, 1.0, 3.0])
    expect(copy.send(:initialize_copy, copy).count).to eq(3)
  end

  it "has its numbers as a Hash" do
    expect(of(0.001, 3).to_h).to match(count: 2, mean: 1.5005, min: 0.001, max: 3.0,
                                       percentiles: { 50 => be_within(1e-5).of(0.001), 90 => 3.0, 95 => 3.0, 99 => 3.0,
                                                      99.9 => 3.0, 99.99 => 3.0 })
  end

  it "refuses what is no duration" do
    [nil, "1", Complex(1, 1), Object.new].each do |value|
      expect { histogram.record(value) }.to raise_error(TypeError, /seconds must be a number, not/)
      expect { histogram.percentile(value) }.to raise_error(TypeError, /percent must be a number, not/)
    end
    [-1, -1e-12, Float::NAN, Float::INFINITY, 1e11, 10**400].each do |value|
      expect { histogram.record(value) }.to raise_error(ArgumentError, /seconds must be a number from 0 .*, not/)
    end
    [-0.1, 100.1, Float::NAN].each do |value|
      expect { histogram.percentile(value) }
        .to raise_error(ArgumentError, /percent must be a number from 0 to 100, not/)
    end
    expect { histogram.merge({}) }.to raise_error(TypeError)
    expect { histogram.freeze.record(1) }.to raise_error(FrozenError)
    expect { histogram.merge(of(1)) }.to raise_error(FrozenError)
    expect(histogram.count).to eq(0)
  end

  it "stays small" do
    100_000.times { |number| histogram.record(1e-6 * (number + 1)) }
    expect(ObjectSpace.memsize_of(histogram)).to be < 20_000
    64.times { |power| histogram.record((2**power) * 1e-9) }
    expect(ObjectSpace.memsize_of(histogram)).to be < 61_000
  end

  it "counts what many threads record" do
    Array.new(8) { Thread.new { 1000.times { histogram.record(rand) } } }.each(&:join)
    expect(histogram.count).to eq(8000)
  end
end
