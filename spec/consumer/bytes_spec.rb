# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "bytes" do
  describe "of what is unfinished" do
    # A manager that is fed, in which everything waits for a gate of its own by key.
    def fed_manager(**settings)
      @gates_by_key = gates_by_name
      shaper = manager(work: ->(message, _, _) { work_on(message) }, **settings)
      shaper.extend(WorkShaper.const_get(:Feeding))
      shaper.max_bytes = 1000
      shaper
    end

    def work_on(message)
      @gates_by_key[message.key].pass
      raise message.payload if message.payload.start_with?("raise")
    end

    def release(*keys)
      keys.each { |key| @gates_by_key[key].open }
    end

    def message(key, offset, payload = "x" * 99, partition: 0)
      WorkShaper::Message.new(topic: "orders", partition: partition, offset: offset, key: key, payload: payload)
    end

    def feed(shaper, *messages)
      shaper.send(:feed, messages, nil, {}, {}, {})
    end

    # In all, and of orders/0 and orders/1.
    def bytes_of(shaper)
      [shaper.bytes, shaper.bytes_of("orders/0"), shaper.bytes_of("orders/1")]
    end

    # Of two sub keys, one in each partition, one message of 100 bytes runs and one waits.
    def two_and_two(**settings)
      shaper = fed_manager(**settings)
      feed(shaper, message("a", 0), message("b", 0, partition: 1), message("a", 1), message("b", 1, partition: 1))
      settle(shaper, running: 2, waiting: 2)
      expect(bytes_of(shaper)).to eq([400, 200, 200])
      shaper
    end

    it "are those of payload and key, from the time it came in until it is finished" do
      shaper = two_and_two
      release("a")
      settle(shaper, running: 1, waiting: 1)
      expect(bytes_of(shaper)).to eq([200, 0, 200])
      release("b")
      drained(shaper)
      expect(bytes_of(shaper)).to eq([0, 0, 0])
    end

    it "are as they came, whatever the work makes of the payload" do
      shaper = fed_manager
      feed(shaper, changed = message("a", 0))
      changed.payload << ("y" * 1000)
      expect(shaper.bytes).to eq(100)
      release("a")
      drained(shaper)
      expect(shaper.bytes).to eq(0)
    end

    it "count while a message waits for its next try, and no more once it is skipped" do
      shaper = fed_manager(attempts: 2, wait: 3, breaker: false, give_up: :skip, on_error: ->(*) {})
      feed(shaper, message("a", 0, "raise"))
      release("a")
      eventually { shaper.stats[:retrying] == 1 }
      expect(shaper.bytes).to eq(6)
      drained(shaper)
      expect(shaper.bytes).to eq(0)
    end

    it "of a partition go with it, once" do
      shaper = two_and_two
      shaper.revoke("orders/0")
      expect(bytes_of(shaper)).to eq([200, 0, 200])
      feed(shaper, message("a", 0))
      release("a")
      settle(shaper, running: 1, waiting: 1)
      expect(bytes_of(shaper)).to eq([200, 0, 200])
      release("b")
      drained(shaper)
    end

    { drop_waiting: [[], [200, 100, 100]], drop_waiting_of: [["orders/1"], [300, 200, 100]],
      drop_beyond: [[], [200, 100, 100]] }.each do |drop, (arguments, left)|
      it "go with what #{drop} drops" do
        shaper = two_and_two
        shaper.send(drop, *arguments)
        expect(bytes_of(shaper)).to eq(left)
        release("a", "b")
        eventually { bytes_of(shaper) == [0, 0, 0] }
      end
    end

    it "go with a message whose worker was killed, and with what waits behind it" do
      shaper = two_and_two
      eventually { worker_threads.size == 2 }
      worker_threads.each(&:kill)
      eventually { shaper.stats.values_at(:running, :waiting) == [0, 0] }
      expect(bytes_of(shaper)).to eq([0, 0, 0])
    end

    it "go with a message at which it stops" do
      shaper = fed_manager(give_up: :stop, on_error: ->(*) {})
      feed(shaper, message("a", 0, "raise"), message("a", 1))
      release("a")
      eventually { shaper.stats[:fatal] }
      expect(shaper.bytes).to eq(0)
    end

    it "are 0 of what is no message, and of what nobody weighs" do
      shaper = fed_manager
      shaper.enqueue(:key, :no_message, "orders/0", 0)
      drained(shaper)
      other = manager.extend(WorkShaper.const_get(:Feeding))
      feed(other, message("a", 0))
      expect([shaper.bytes, other.bytes]).to eq([0, 0])
    end
  end

  describe "in a consumer" do
    let(:topic_partition) { ["orders", 0] }
    let(:gates) { gates_by_name }
    let(:done) { [] }

    # The work of each message waits for its gate.
    def consuming(**options)
      running(topic_partition, **options) do |message|
        gates[message.offset].pass
        done << message.offset
      end
    end

    # Keys of so many bytes; payloads are a few bytes larger.
    def produce(*sizes)
      client.produce("orders", 0, *sizes.each_with_index.map { |size, number| number.to_s.ljust(size, "k") })
    end

    def paused(consumer)
      eventually("it never paused") { consumer.stats[:paused]&.any? }
    end

    it "takes no more than max_bytes, about, and goes on when a quarter is free" do
      consumer = consuming(concurrency: 100, max_bytes: 20_000)
      produce(*[500] * 200)
      paused(consumer)
      taken = consumer.stats[:in_flight]
      expect(consumer.stats[:bytes]).to be_between(20_000, 20_000 + (10 * 1010)).and(be > taken * 1000)
      gates[0].open
      eventually { done.size == 1 }
      eventually { consumer.stats[:in_flight] == taken - 1 }
      turns(5)
      expect(consumer.stats).to include(in_flight: taken - 1, paused: ["orders/0"])
      gates.open
      eventually { client.offset_of(*topic_partition) == 200 }
      eventually { consumer.stats.values_at(:bytes, :paused) == [0, []] }
    end

    it "lets in one message that is larger" do
      consumer = consuming(max_bytes: 1000)
      produce(5000, 1, 1)
      paused(consumer)
      expect(consumer.stats[:in_flight]).to be <= 7
      gates.open
      eventually { client.offset_of(*topic_partition) == 3 }
    end

    it "does not take room in bytes for a reason to have more in flight" do
      consumer = consuming(concurrency: 4, max_bytes: 3000)
      produce(*[500] * 100)
      paused(consumer)
      limit = poll_loop_of(consumer).instance_variable_get(:@in_flight_limit)
      expect(limit.size).to eq(8)
      gates.open
      eventually { client.offset_of(*topic_partition) == 100 }
    end
  end

  it "that the C library holds free go back to the system once the client is closed" do
    trimmed = []
    allow(inner(:Pool)).to receive(:new).and_wrap_original do |original, **arguments|
      original.call(**arguments).tap do |pool|
        allow(pool).to(receive(:trim_memory).and_wrap_original { |trim| trimmed << [client.closed?, trim.call] })
      end
    end
    consumer = running(["orders", 0]) { nil }
    stop(consumer)
    expect(trimmed).to eq([[true, nil]])
  end

  it "bound what the intake takes at a time" do
    topic = mock_topic
    mock.produce(topic, Array.new(300) { |number| [0, number.to_s, "x" * 10_000] })
    held = gate
    consumer = mock_consumer(topic, max_bytes: 100_000, concurrency: 1000) { held.pass }
    most = 0
    allow(ConsumerHelpers.client_class).to receive(:new).and_wrap_original do |original, *arguments|
      original.call(*arguments).tap do |client|
        allow(client).to receive(:take).and_wrap_original do |take, *how|
          take.call(*how).tap { |messages| most = [most, messages.size].max }
        end
      end
    end
    start(consumer)
    eventually { consumer.stats[:paused]&.any? }
    expect(consumer.stats[:bytes]).to be_between(100_000, 1_000_000)
    expect(most).to be <= 64
  end
end
