# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Stream, "options" do
  def made(**options)
    described_class.new(**options, &:itself)
  end

  it "are refused at the door when they are wrong, with what is accepted" do
    { concurrency: [0, -1, 2**31], max_in_flight: [0, -1, 2**31], deadline: [0, -1, Float::NAN],
      timeout: [0, -1], rate: [0, -5, Float::NAN], attempts: [0, -1], jitter: [2, -0.1], wait: [-1],
      give_up: [:stop, :ignore, "a topic"], priority: [->(a, b) { a + b }], key: [-> { 1 }] }.each do |name, values|
      values.each do |value|
        expect { made(name => value) }.to raise_error(ArgumentError, /#{name}/), "#{name}: #{value.inspect} was taken"
      end
    end
    { concurrency: ["5", 1.5, nil], max_in_flight: ["5", 2.5], ordered: [nil, 1], interrupt: ["no"], rate: ["fast"],
      key: [:id], on_error: [7], local: ["connection"], rules: [[]] }.each do |name, values|
      values.each do |value|
        expect { made(name => value) }.to raise_error(TypeError, /#{name}/), "#{name}: #{value.inspect} was taken"
      end
    end
  end

  it "are refused when they are unknown, or belong together" do
    expect { made(threads: 4) }.to raise_error(ArgumentError, /unknown keyword: :threads; the keywords are/)
    expect { made(breaker: true) }.to raise_error(ArgumentError, /unknown keyword: :breaker/)
    expect { made(release: ->(_) {}) }.to raise_error(ArgumentError, /no local/)
    expect { described_class.new }.to raise_error(ArgumentError, /needs a block/)
  end

  it "are there when streams alone are required, without a warning" do
    lib = File.expand_path("../../lib", __dir__)
    script = 'require "work_shaper/stream"; print WorkShaper.map([1, 2], &:succ), WorkShaper::LoadTest'
    quiet = { "RUBY_GC_HEAP_FREE_SLOTS_MAX_RATIO" => nil } # with -w Ruby says what it is set to
    output = IO.popen([quiet, RbConfig.ruby, "-w", "-I", lib, "-e", script], err: %i[child out], &:read)
    expect(output).to eq("[2, 3]WorkShaper::LoadTest")
  end

  it "come from no environment" do
    expect_child_to_pass(<<~RUBY)
      ENV.update("WORK_SHAPER_CONCURRENCY" => "junk", "WORK_SHAPER_ATTEMPTS" => "junk", "WORK_SHAPER_TIMEOUT" => "0")
      same([2], WorkShaper.map([1]) { |n| n + 1 }, "results")
      same(25, WorkShaper::Stream.new { nil }.concurrency, "concurrency")
      passed
    RUBY
  end

  it "may be Rationals, and attempts without end" do
    tries = 0
    result = WorkShaper.map([1], attempts: :unlimited, wait: 1/1000r, deadline: 30r, rate: 1000r) do |n|
      (tries += 1) < 5 ? raise("again") : n
    end
    expect([result, tries]).to eq([[1], 5])
  end
end
