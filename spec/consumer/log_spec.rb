# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "its log" do
  def entry(pattern, severity = nil)
    eventually("no #{pattern} in the log") { log.entries(pattern, severity).last }
  end

  describe "at the start" do
    it "says what runs where, and with which limits" do
      running(["orders", 0], concurrency: 3, max_in_flight: 70, shutdown_timeout: 8, timeout: 5)
      expect(entry(/\AStarting\z/, "INFO")).to eq(
        message: "Starting", work_shaper: WorkShaper::VERSION, rdkafka: Rdkafka::VERSION,
        librdkafka: Rdkafka::LIBRDKAFKA_VERSION, ruby: RUBY_VERSION, servers: ConsumerHelpers::SERVERS, group: "specs",
        topics: ["orders"], protocol: "classic (range,roundrobin)", concurrency: 3, max_in_flight: 70, timeout: 5,
        shutdown_timeout: 8
      )
    end

    it "names the protocol, the strategy and the member" do
      running(config: { "partition.assignment.strategy": "cooperative-sticky", "group.instance.id": "one" })
      expect(entry(/\AStarting\z/)).to include(protocol: "classic (cooperative-sticky)", instance: "one")
      running(client: ConsumerHelpers::FakeClient.new, config: { "group.protocol": "consumer" })
      eventually { log.entries(/\AStarting\z/).size == 2 }
      expect(entry(/\AStarting\z/)).to include(protocol: "consumer")
    end

    it "holds no password, whatever the config holds" do
      secrets = { "sasl.username": "user-secret", "sasl.password": "word-secret", "ssl.key.password": "key-secret",
                  "ssl.key.pem": "pem-secret", "sasl.oauthbearer.config": "oauth-secret" }
      running(["orders", 0], config: secrets)
      entry(/Assigned/)
      expect(log.lines.inspect).not_to include("secret")
    end
  end

  describe "at a stop" do
    it "has no warning when all is well" do
      client.produce("orders", 0, "a", "b")
      consumer = running(["orders", 0], heartbeat_period_sec: 60)
      eventually { client.offset_of("orders", 0) == 2 }
      expect(stop(consumer)).to be(true)
      expect(log.messages("WARN") + log.messages("ERROR")).to be_empty
      expect(log.entries(/Stopping|Shutting Down|Revoked/).map { |line| line[:message] })
        .to eq(["Stopping", "Shutting Down", "Revoked"])
    end

    it "says what was dropped and what still runs" do
      client.produce("orders", 0, *(["a"] * 4), "b", "b")
      held = gate
      consumer = running(["orders", 0], shutdown_timeout: 0.2) { held.pass }
      settle(consumer, running: 2, waiting: 4)
      expect(stop(consumer)).to be(false)
      expect(entry(/Stopping/)).to include(dropped: 4, waiting: 0, running: 2)
      expect(entry(/Revoked/)).to include(dropped: 0, running: 2)
    end

    it "says so with drain, too" do
      client.produce("orders", 0, *(["a"] * 4))
      held = gate
      consumer = running(["orders", 0], drain: true) { held.pass }
      settle(consumer, running: 1, waiting: 3)
      consumer.stop
      expect(entry(/Stopping/)).to include(dropped: 0, waiting: 3, running: 1)
      held.open
    end
  end

  it "says how many messages of partitions that go still run" do
    client.produce("orders", 0, "a", "a", "b")
    client.produce("orders", 1, "c")
    held = gate
    consumer = running(["orders", 0], ["orders", 1], revoke_timeout: 0.1) { held.pass }
    settle(consumer, running: 3, waiting: 1)
    client.revoke(["orders", 0])
    expect(entry(/Revoked/)).to include(partitions: ["orders/0"], dropped: 1, running: 2)
  end

  it "names at TTIN the message that each worker has, and not its sub key" do
    expect_consumer_to_pass(<<~RUBY)
      gate = Queue.new
      WorkShaper.logger = Logger.new(log, formatter: ->(_, _, _, line) { line.inspect + "\\n" })
      client.produce("orders", 3, "a", "customer")
      c = fake_consumer { |m| gate.pop if m.key == "customer" }
      assign_later(["orders", 3])
      main = Thread.current
      Thread.new do
        wait_until("at work") { gate.num_waiting == 1 }
        workers = threads_named("work_shaper worker").size
        Process.kill(:TTIN, Process.pid)
        wait_until("logged") { log.string.lines.grep(/Backtrace.*work_shaper worker/).size >= workers }
        gate.close
        c.stop
      end
      same(true, c.run, "run")
      lines = log.string.lines.grep(/Backtrace/)
      at_work, others = lines.partition { |line| line.include?(":offset=>1") || line.include?("offset: 1") }
      same(1, at_work.size, "threads that have the message")
      %w[orders attempt age_sec].each { |word| check(at_work.first.include?(word), word) }
      check(at_work.first.include?("work_shaper worker"), "it is a worker")
      check(lines.none? { |line| line.include?("customer") }, "no sub key")
      passed
    RUBY
  end

  describe "whose logger blocks for ever from TERM on" do
    # What the logger does then, and how the consumer is stopped.
    { "asleep" => "sleep", "with its lock" => "LOCK.synchronize { sleep }" }.each do |how, code|
      [true, false].each do |failing|
        it "ends all the same, within shutdown_timeout and 5 s (#{how}#{", with work that fails" if failing})" do
          result = expect_consumer_to_pass(<<~RUBY, limit: 40)
            LOCK = Mutex.new
            $term = false
            blocking = Class.new(Logger) do
              define_method(:add) do |*arguments, **more, &block|
                #{code} if $term
                super(*arguments, **more, &block)
              end
            end
            WorkShaper.logger = blocking.new(log)
            mock_topic(50, keys: ("a".."j").to_a)
            gate = Queue.new
            c = mock_consumer(shutdown_timeout: 3, heartbeat_period_sec: 1) do |m|
              gate.pop if m.offset == 49
              worked << m.offset
              raise IOError if #{failing} && m.offset == 49
            end
            took = nil
            Thread.new do
              wait_until("worked") { worked.size == 49 && gate.num_waiting == 1 && committed == 49 }
              $term = true
              Process.kill(:TTIN, Process.pid)
              Process.kill(:TERM, Process.pid)
              took = now
              gate.close
            end
            same(#{!failing}, c.run, "run")
            check(now - took < 3 + 5, "in time (\#{now - took} s)")
            same(#{failing ? 49 : 50}, committed, "committed")
            mock.close # its clients would take the process along
            passed
          RUBY
          expect(result.seconds).to be < 20
        end
      end
    end

    it "ends when nobody reads the pipe that standard output is" do
      script = <<~RUBY
        require #{ConsumerHelpers::CHILD.inspect}
        WorkShaper.logger = nil
        mock_topic(5)
        c = mock_consumer(shutdown_timeout: 3) { |m| worked << m.offset }
        Thread.new do
          wait_until("worked") { committed == 5 }
          Thread.new { loop { WorkShaper.logger.info("x" * 5_000) } }
          sleep 0.01 while IO.select(nil, [STDOUT], nil, 0) # until it is full
          Process.kill(:TERM, Process.pid)
        end
        c.run
        mock.close
        exit(4)
      RUBY
      reader, writer = IO.pipe
      pid = Process.spawn(Subprocess::ENVIRONMENT, RbConfig.ruby, "-I", Subprocess::LIBRARY, "-r", Subprocess::HELPERS,
                          "-e", script, out: writer, pgroup: true)
      writer.close
      waiter = Process.detach(pid)
      Process.kill(:KILL, -pid) unless waiter.join(30)
      expect(waiter.value.exitstatus).to eq(4)
    ensure
      reader.close
    end
  end
end
