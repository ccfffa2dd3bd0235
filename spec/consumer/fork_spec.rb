# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "and fork", if: Process.respond_to?(:fork) do
  it "that was made before it runs in the child" do
    expect_consumer_to_pass(<<~RUBY)
      client.produce("orders", 0, "a", "b")
      c = fake_consumer { |m| worked << m.payload }
      pid = fork do
        assign_later(["orders", 0])
        Thread.new { wait_until("worked") { client.offset_of("orders", 0) == 2 }; c.stop }
        same(true, c.run, "run")
        same(%w[a:0 b:1], worked.sort, "worked")
        no_threads_left
        exit!(0)
      end
      check(child_status(pid).success?, "the child")
      same({}, c.stats, "stats in the parent")
      passed
    RUBY
  end

  it "may be made and run in many children" do
    expect_consumer_to_pass(<<~RUBY, limit: 30)
      mock_topic(20)
      c = mock_consumer { |m| worked << m.offset }
      pids = Array.new(2) do |number|
        fork do
          own = number.zero? ? c : mock_consumer(config: { "group.id": "other" }) { |m| worked << m.offset }
          Thread.new { wait_until("worked") { worked.size == 20 }; Process.kill(:TERM, Process.pid) }
          same(true, own.run, "run")
          same((0...20).to_a, worked.sort, "worked")
          no_threads_left
          exit!(0)
        end
      end
      pids.each { |pid| check(child_status(pid).success?, "the child") }
      same(20, committed, "committed")
      passed
      exit!(0) # no client may keep it
    RUBY
  end

  it "in the middle of work does no harm: the child cannot use it, the parent goes on" do
    expect_consumer_to_pass(<<~RUBY)
      client.produce("orders", 0, "fork", "a")
      statuses = []
      c = fake_consumer do |m|
        if m.key == "fork"
          pid = fork do
            raised(WorkShaper::ForkedProcess) { c.stats }
            raised(WorkShaper::Error) { c.run }
            c.stop
            exit!(0)
          end
          statuses << child_status(pid)
        end
        worked << m.payload
      end
      assign_later(["orders", 0])
      Thread.new { wait_until("worked") { client.offset_of("orders", 0) == 2 }; c.stop }
      same(true, c.run, "run")
      check(statuses.all?(&:success?), "the child")
      no_threads_left
      passed
    RUBY
  end

  it "of a process with one that runs, and an end of the child by exit, leaves the parent's alone" do
    expect_consumer_to_pass(<<~RUBY)
      client.produce("orders", 0, "a")
      c = fake_consumer(signals: false) { |m| worked << m.payload }
      runner = Thread.new { c.run }
      client.assign(["orders", 0])
      wait_until("worked") { client.offset_of("orders", 0) == 1 }
      pid = fork { exit(5) }
      same(5, child_status(pid).exitstatus, "the child's status")
      client.produce("orders", 0, "b")
      wait_until("goes on") { client.offset_of("orders", 0) == 2 }
      c.stop
      same(true, runner.value, "run")
      passed
    RUBY
  end

  # rdkafka would, at the end of the child: without the threads of librdkafka that hangs or crashes now and then.
  it "leaves a child that destroys no client of its parent, and can run a consumer of its own to its end by exit" do
    expect_consumer_to_pass(<<~RUBY, limit: 40)
      require #{File.expand_path("../../support/kafka/brokers", __dir__).inspect}
      Rdkafka::Config.logger = Logger.new(File::NULL)
      broker = KafkaSupport::MockBroker.new # in another process: it has clients, too
      %w[orders dead].each { |topic| broker.create_topic(topic, partitions: 1) }
      consumer = lambda do |group|
        mock_consumer(servers: broker.servers, config: { "group.id": group }, signals: false,
                      attempts: 1, give_up: "dead") do |m|
          worked << m.payload
          raise "bad" if m.payload == "bad"
        end
      end
      producer = Rdkafka::Config.new("bootstrap.servers": broker.servers).producer
      %w[good bad].each { |text| producer.produce(topic: "orders", partition: 0, payload: text).wait }
      producer.close
      c = consumer.call("parents")
      runner = Thread.new { c.run }
      wait_until("a dead letter") { c.stats[:total_dead_lettered] == 1 }
      reader, writer = IO.pipe
      pid = fork do
        worked.clear
        own = consumer.call("childs")
        Thread.new { wait_until("worked") { own.stats[:total_dead_lettered] == 1 }; own.stop }
        same(true, own.run, "run in the child")
        Rdkafka::Bindings.define_singleton_method(:rd_kafka_destroy) { |_| writer.puts("a client was destroyed") }
        exit(5)
      end
      writer.close
      same(5, child_status(pid).exitstatus, "the child's status")
      same("", reader.read, "what was destroyed at its end")
      c.stop
      same(true, runner.value, "run in the parent")
      broker.close
      passed
    RUBY
  end

  describe "by its work" do
    # `child` forks a process that writes a word when it is ready and waits for its end: [pid, word].
    let(:forking) do
      <<~RUBY
        child = lambda do |&meanwhile|
          reader, writer = IO.pipe
          pid = fork do
            $stderr.reopen(File::NULL) # where Ruby tells of an Interrupt
            meanwhile&.call
            writer.puts("ready")
            writer.close
            sleep
          end
          writer.close
          [pid, reader.gets]
        end
        pids = Queue.new
        client.produce("orders", 0, "fork")
        c = fake_consumer { |_message| pids << child.call(&meanwhile) }
        assign_later(["orders", 0])
      RUBY
    end

    def expect_child_of_work_to_pass(script, meanwhile: "nil", before: "")
      expect_consumer_to_pass(<<~RUBY)
        #{before}
        meanwhile = #{meanwhile}
        #{forking}
        Thread.new do
          pid, word = pids.pop
          same("ready\n", word, "word of the child")
          #{script}
          wait_until("goes on") { client.offset_of("orders", 0) == 1 }
          c.stop
        end
        same(true, c.run, "run")
        passed
      RUBY
    end

    %w[INT TERM QUIT].each do |signal|
      it "leaves children that end on #{signal}, as others do; the parent goes on" do
        expect_child_of_work_to_pass(<<~RUBY)
          Process.kill(:#{signal}, pid)
          same(Signal.list["#{signal}"], child_status(pid).termsig, "ended by signal")
        RUBY
      end
    end

    it "leaves children that have the handlers from before" do
      expect_child_of_work_to_pass(<<~RUBY, before: "trap(:TERM) { exit!(7) }; trap(:INT, 'IGNORE')")
        3.times { Process.kill(:INT, pid) }
        Process.kill(:TERM, pid)
        same(7, child_status(pid).exitstatus, "status")
      RUBY
    end

    it "leaves children alone that have handlers of their own" do
      expect_child_of_work_to_pass(<<~RUBY, meanwhile: "-> { trap(:TERM) { exit!(8) } }")
        Process.kill(:TERM, pid)
        same(8, child_status(pid).exitstatus, "status")
      RUBY
    end

    it "leaves children that can run a consumer of their own, which takes the signals" do
      expect_child_of_work_to_pass(<<~RUBY, meanwhile: <<~MEANWHILE)
        Process.kill(:TERM, pid)
        same(9, child_status(pid).exitstatus, "status")
      RUBY
        lambda do
          reader, writer = IO.pipe
          trap(:QUIT) { writer.puts("own") }
          2.times do
            @client = nil
            own = fake_consumer { |_message| nil }
            Thread.new { wait_until("runs") { client.takes.positive? }; Process.kill(:TERM, Process.pid) }
            same(true, own.run, "run in the child")
          end
          Process.kill(:QUIT, Process.pid)
          same("own\n", reader.gets, "handler of the child")
          trap(:TERM) { exit!(9) }
        end
      MEANWHILE
    end
  end

  it "in a trap handler, while it runs, leaves a child that can end by exit" do
    expect_consumer_to_pass(<<~RUBY)
      c = fake_consumer { |_message| nil }
      pids = Queue.new
      trap(:USR1) do
        pid = fork
        exit(6) unless pid
        pids << pid
      end
      Thread.new do
        wait_until("runs") { client.takes.positive? }
        Process.kill(:USR1, Process.pid)
        same(6, child_status(pids.pop).exitstatus, "status")
        c.stop
      end
      same(true, c.run, "run")
      passed
    RUBY
  end
end
