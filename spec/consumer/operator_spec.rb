# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "that an operator changes while it runs" do
  let(:done) { [] }

  def names(*partitions)
    partitions.map { |number| "orders/#{number}" }
  end

  describe "#pause and #resume" do
    def two_partitions(**options)
      running(["orders", 0], ["orders", 1], **options) { |message| done << message.payload }
    end

    it "takes nothing more of the one partition, and goes on with it where it was" do
      consumer = two_partitions
      client.produce("orders", 0, "a")
      eventually { done == %w[a:0] }
      consumer.pause("orders", 0)
      eventually { consumer.stats[:paused] == names(0) }
      client.produce("orders", 0, "a", "a")
      client.produce("orders", 1, "b")
      eventually { done == %w[a:0 b:0] }
      turns(5)
      expect(done).to eq(%w[a:0 b:0])
      consumer.resume("orders", 0)
      eventually { done == %w[a:0 b:0 a:1 a:2] }
      expect(consumer.stats[:paused]).to be_empty
      eventually { client.offset_of("orders", 0) == 3 }
    end

    it "holds for a partition that is to come, and for one that comes back" do
      consumer = fake_consumer { |message| done << message.payload }
      consumer.pause("orders", 0)
      start(consumer)
      client.assign(["orders", 0])
      eventually { consumer.stats[:paused] == names(0) }
      client.produce("orders", 0, "a")
      client.revoke(["orders", 0])
      client.assign(["orders", 0])
      eventually { consumer.stats[:paused] == names(0) }
      turns(5)
      expect(done).to be_empty
      consumer.resume("orders", 0)
      eventually { done == %w[a:0] }
    end

    it "outlasts that there was no room meanwhile, whichever ends first" do
      replace_constant(inner(:BackPressure), :PAUSE_AFTER, 0)
      gate = self.gate
      consumer = running(["orders", 0], ["orders", 1], max_in_flight: 4, concurrency: 1) do |message|
        gate.pass
        done << message.payload
      end
      client.produce("orders", 0, *(["a"] * 20))
      eventually { consumer.stats[:paused].sort == names(0, 1) }
      consumer.pause("orders", 1)
      gate.open
      eventually { done.size == 20 }
      eventually { consumer.stats[:paused] == names(1) }
      client.produce("orders", 1, "b")
      turns(5)
      expect(done).not_to include("b:0")
      consumer.resume("orders", 1)
      eventually { done.include?("b:0") }
    end

    it "may be asked for by any number of threads at once" do
      consumer = two_partitions
      Array.new(8) { |n| in_thread { 50.times { consumer.pause("orders", n) } } }.each { |thread| value_of(thread) }
      eventually { consumer.stats[:paused].sort == names(0, 1) }
      Array.new(8) { |n| in_thread { consumer.resume("orders", n) } }.each { |thread| value_of(thread) }
      eventually { consumer.stats[:paused].empty? }
      expect(client.misuse).to be_empty
    end

    { ["", 0] => ArgumentError, [:orders, 0] => TypeError, ["orders", -1] => ArgumentError,
      %w[orders 0] => TypeError, ["orders", nil] => TypeError }.each do |arguments, error|
      it "refuses #{arguments.inspect}" do
        consumer = fake_consumer { nil }
        %i[pause resume].each do |method|
          expect { consumer.public_send(method, *arguments) }
            .to raise_error(error, /(topic|partition) is .*; it must be/)
        end
      end
    end
  end

  describe "#concurrency= and #max_in_flight=" do
    it "has as many workers as it is told, more or fewer" do
      gates = gates_by_name
      consumer = running(["orders", 0], concurrency: 2) { |message| gates[message.key].pass }
      client.produce("orders", 0, *("a".."h"))
      eventually { consumer.stats[:running] == 2 }
      consumer.concurrency = 5
      eventually(-> { consumer.stats.slice(:running, :workers, :in_flight) }) { consumer.stats[:running] == 5 }
      consumer.concurrency = "1"
      turns(3)
      ("a".."e").each { |key| gates[key].open }
      eventually(-> { consumer.stats.slice(:running, :workers, :in_flight) }) do
        consumer.stats.slice(:running, :workers) == { running: 1, workers: 1 }
      end
      gates.open
      eventually { client.offset_of("orders", 0) == 8 }
      expect(consumer.stats[:workers]).to eq(1)
    end

    it "takes no more messages than it is told" do
      replace_constant(inner(:BackPressure), :PAUSE_AFTER, 0)
      gate = self.gate
      consumer = running(["orders", 0], concurrency: 8, max_in_flight: 2) { gate.pass }
      client.produce("orders", 0, *("a".."z"))
      eventually { consumer.stats[:paused] == names(0) }
      expect(consumer.stats[:in_flight]).to be_between(2, 4)
      consumer.max_in_flight = 20
      eventually { consumer.stats[:running] == 8 }
      gate.open
      eventually { client.offset_of("orders", 0) == 26 }
    end

    it "may be told before it runs, and takes no nonsense" do
      consumer = fake_consumer { nil }
      consumer.concurrency = 3
      expect { consumer.concurrency = 0 }.to raise_error(ArgumentError, /concurrency is 0; it must be/)
      expect { consumer.max_in_flight = nil }.to raise_error(TypeError, /max_in_flight is nil; it must be/)
      start(consumer)
      client.assign(["orders", 0])
      client.produce("orders", 0, *("a".."z"))
      eventually { client.offset_of("orders", 0) == 26 }
      expect(consumer.stats[:workers]).to be <= 3
    end
  end

  describe "#running" do
    it "says what each worker does" do
      gate = self.gate
      consumer = running(["orders", 0], attempts: 1, give_up: :skip) { gate.pass }
      expect(consumer.running).to be_empty
      client.produce("orders", 0, "a", nil)
      eventually { gate.waiting == 2 && consumer.running.size == 2 }
      first, second = consumer.running.sort_by { |row| row[:offset] }
      expect(first).to match(topic: "orders", partition: 0, offset: 0, sub_key: "a", attempt: 1, seconds: Float,
                             message: have_attributes(key: "a"), worker: /\Awork_shaper worker \d+\z/,
                             backtrace: include(/pass/))
      expect(second).to include(offset: 1, sub_key: nil)
      gate.open
    end

    it "is empty before it runs" do
      expect(fake_consumer { nil }.running).to eq([])
    end
  end
end
