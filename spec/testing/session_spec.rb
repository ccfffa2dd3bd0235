# frozen_string_literal: true

require "spec_helper"
require "work_shaper/testing"

RSpec.describe WorkShaper::Testing::Session do
  let(:worked) { [] }

  def session(consumer = nil, seed: nil, clock: testing::Clock.new, &block)
    consumer ||= tested { |message| worked << message.payload }
    testing.session(consumer, seed: seed, clock: clock, &block)
  end

  it "counts tries, commits when it is told to, and at its end" do
    result = session do |made|
      made.deliver(messages("a1", "a2", "a3"))
      expect(made.work(2)).to eq(2)
      expect(made.result).to have_attributes(acknowledged: {}, worked: have_attributes(size: 2))
      made.commit
      expect(made.result.acknowledged).to eq("orders/0" => 2)
      expect(made.work).to eq(1)
      expect(made.work).to eq(0)
    end
    expect(result.acknowledged).to eq("orders/0" => 3)
  end

  it "repeats after a crash what was not committed, and leaves out what is finished beyond" do
    20.times do |seed|
      worked.clear
      session(seed: seed) do |made|
        made.deliver(messages("a1", "b1", "c1", "a2", "b2"))
        made.work(2)
        made.commit
        made.work(1)
        before = worked.dup
        made.crash
        expect(made).not_to be_running
        made.restart
        made.work
        expect(worked.drop(3)).to match_array(%w[a1 b1 c1 a2 b2] - before.first(2))
      end
    end
  end

  it "dies in the middle of work, where that says so" do
    session = nil
    steps = []
    consumer = tested do |message|
      steps << "begin #{message.payload}"
      session.crash if steps.size == 1
      steps << "end #{message.payload}"
    rescue StandardError
      steps << :rescued
    end
    result = session(consumer) do |made|
      session = made
      made.deliver(messages("a1"))
      expect(made.work).to eq(0)
      expect(made).not_to be_running
      made.restart
      made.work
    end
    expect(steps).to eq(["begin a1", "begin a1", "end a1"])
    expect(result.worked.map(&:outcome)).to eq(%i[cut_off done])
  end

  it "is dead even if the work rescues that" do
    session = nil
    consumer = tested do
      session.crash if session.result.worked.one?
    rescue Exception # rubocop:disable Lint/RescueException
      nil
    end
    result = session(consumer) do |made|
      session = made
      made.deliver(messages("a1", "a2"))
      made.work
      expect(made).not_to be_running
    end
    expect(result.acknowledged).to eq({})
  end

  it "commits what is finished when a partition goes, drops the rest, and delivers it when it comes back" do
    session do |made|
      made.deliver(messages("a1", "a2", "a3") + messages("b1", partition: 1))
      made.work(1) until worked.include?("a1")
      made.revoke("orders/0")
      expect(made.result.acknowledged).to include("orders/0" => worked.count { |payload| payload.start_with?("a") })
      made.work
      expect(worked).not_to include("a3")
      expect do
        made.revoke("orders/0")
      end.to raise_error(ArgumentError, %r{"orders/0" cannot be meant; there are orders/1})
      made.assign
      made.work
    end
    expect(worked.sort).to eq(%w[a1 a2 a3 b1])
  end

  it "works on nothing of a partition that is gone, whatever the schedule" do
    50.times do |seed|
      worked.clear
      result = session(seed: seed) do |made|
        made.deliver(messages("a1", "b1", "c1") + messages("d1", "e1", partition: 1))
        made.work(2)
        made.revoke("orders/0")
        gone = %w[a1 b1 c1] - worked
        made.work
        expect(worked & gone).to be_empty
        made.assign("orders/0")
        made.work
      end
      expect(worked).to match_array(%w[a1 b1 c1 d1 e1])
      expect(result.acknowledged).to eq("orders/0" => 3, "orders/1" => 2)
    end
  end

  it "begins attempts at 1 again after a rebalance, and repeats nothing that is finished" do
    attempts = []
    consumer = tested do |message|
      attempts << [message.payload, message.attempt]
      raise "bad" if message.payload == "a2" && attempts.size < 4
    end
    session(consumer) do |made|
      made.deliver(messages("a1", "a2"))
      made.work(3)
      made.rebalance
      made.work
    end
    expect(attempts).to eq([["a1", 1], ["a2", 1], ["a2", 2], ["a2", 1]])
  end

  it "fences what runs when its partition goes: it is done, and comes again" do
    session = nil
    consumer = tested do |message|
      worked << message.payload
      session.rebalance if worked.size == 1
    end
    session(consumer) do |made|
      session = made
      made.deliver(messages("a1", "a2"))
      made.work
    end
    expect(worked).to eq(%w[a1 a1 a2])
  end

  it "fences what fails when its partition is gone: it is not tried again" do
    session = nil
    consumer = tested do |message|
      worked << [message.payload, message.attempt]
      session.revoke
      raise "bad"
    end
    result = session(consumer) do |made|
      session = made
      made.deliver(messages("a1", "a2"))
      expect(made.work).to eq(1)
    end
    expect(result.worked.map(&:outcome)).to eq(%i[dropped])
    expect(result.acknowledged).to eq({})
  end

  it "takes what the work writes itself" do
    session = nil
    consumer = tested do |message|
      worked << message.payload
      session.deliver([{ payload: "a2", key: "a" }]) if worked.one?
    end
    session(consumer) do |made|
      session = made
      made.deliver(messages("a1"))
      made.work
    end
    expect(worked).to eq(%w[a1 a2])
  end

  describe "that stops" do
    it "drops what waits; with drain it is worked on" do
      { false => %w[a1], true => %w[a1 a2 a3] }.each do |drain, expected|
        worked.clear
        session(tested(drain: drain) { |message| worked << message.payload }) do |made|
          made.deliver(messages("a1", "a2", "a3"))
          made.work(1)
          made.stop
          expect(made).not_to be_running
          expect(made.result.acknowledged).to eq("orders/0" => expected.size)
        end
        expect(worked).to eq(expected)
      end
    end

    it "works on what waits below what is finished" do
      finished = Array.new(50) do |seed|
        worked.clear
        session(seed: seed) do |made|
          made.deliver(messages("a1", "b1", "c1", "d1"))
          made.work(1)
          made.stop
        end
        expect(worked.sort).to eq(%w[a1 b1 c1 d1].first(worked.size))
        worked.dup
      end
      expect(finished.map(&:size).uniq).to match_array(1..4)
    end

    it "does so when the work asks the consumer to stop, and drops what fails from then on" do
      consumer = nil
      consumer = tested(drain: true) do |message|
        worked << [message.payload, WorkShaper.current.stopping?]
        consumer.stop if message.payload == "a1"
        raise "bad" if message.payload == "a2"
      end
      result = testing.consume(consumer, messages("a1", "a2", "a3"))
      expect(worked).to eq([["a1", false], ["a2", true]])
      expect(result.worked.last.outcome).to eq(:dropped)
      expect(result.acknowledged).to eq("orders/0" => 1)
    end

    it "works on nothing when the consumer was stopped before" do
      consumer = tested { |message| worked << message.payload }
      consumer.stop
      expect(testing.consume(consumer, messages("a1")).worked).to be_empty
      expect(testing.consume(consumer, messages("a1")).worked).not_to be_empty
    end
  end

  it "has a clock that can be set meanwhile" do
    consumer = tested(wait: 60, jitter: 0) { |message| raise "bad" if message.attempt == 1 }
    clock = testing::Clock.new(Time.utc(2026))
    session(consumer, clock: clock) do |made|
      made.deliver(messages("a1"))
      made.work(1)
      expect(made.clock.now).to eq(Time.utc(2026))
      clock.now = Time.utc(2026, 1, 2)
      made.work
      expect(clock.now).to eq(Time.utc(2026, 1, 2))
    end
  end

  it "refuses what makes no sense" do
    expect { testing.session(tested) }.to raise_error(ArgumentError, /no block given/)
    session do |made|
      expect { made.restart }.to raise_error(WorkShaper::Error, /it can only be restarted after/)
      expect { made.work(0) }.to raise_error(ArgumentError, /count is 0/)
      expect { made.work("all") }.to raise_error(TypeError, /count is "all"/)
      expect { made.assign("orders/0") }.to raise_error(ArgumentError, %r{"orders/0" cannot be meant; there are none})
      made.crash
      %i[work commit revoke rebalance crash stop].each do |name|
        expect { made.public_send(name) }.to raise_error(WorkShaper::Error, /does not run; restart it/), name.to_s
      end
    end
  end

  it "does not work inside work" do
    session = nil
    consumer = tested(attempts: 1, give_up: :skip) { session.work }
    result = session(consumer) do |made|
      session = made
      made.deliver(messages("a1"))
      made.work
    end
    expect(result.worked.first.error.message).to include("cannot have others worked on")
  end

  it "says little of itself" do
    session { |made| expect(made.inspect).to eq("#<WorkShaper::Testing::Session seed #{made.seed}>") }
  end
end
