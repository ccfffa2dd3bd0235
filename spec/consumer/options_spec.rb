# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, ".new" do
  let(:config) { config_for(ConsumerHelpers::SERVERS, "specs") }
  let(:work) { ->(_message) {} }

  def made(**options, &block)
    described_class.new(config: config, topics: "orders", **options, &block || work)
  end

  # What librdkafka would be given.
  def handed_over(config)
    made(config: config).instance_variable_get(:@options).config
  end

  def refused(error = ArgumentError, **options)
    made(**options)
  rescue error => e
    e.message
  else
    RSpec::Expectations.fail_with("#{options} was accepted")
  end

  it "requires a block" do
    expect { described_class.new(config: config, topics: "orders") }.to raise_error(ArgumentError, /no block/)
  end

  it "requires a config and topics" do
    expect { described_class.new(topics: "orders", &work) }.to raise_error(ArgumentError, /config/)
    expect { described_class.new(config: config, &work) }.to raise_error(ArgumentError, /topics/)
  end

  it "refuses keywords that it does not know" do
    expect(refused(concurrencies: 5)).to include(":concurrencies")
    expect(refused(acks: :every)).to include(":acks")
  end

  it "starts nothing and connects to nothing" do
    threads = Thread.list
    made
    expect(Thread.list - threads).to be_empty
  end

  describe "config" do
    [nil, "localhost:9092", ["bootstrap.servers", "x"], 7].each do |other|
      it "refuses #{other.inspect}, which is not a Hash" do
        expect(refused(TypeError, config: other)).to include("config is #{other.inspect}", "Rdkafka::Config")
      end
    end

    it "needs to know where the brokers are, and the group" do
      expect(refused(config: { "group.id": "specs" })).to include("bootstrap.servers")
      expect(refused(config: { "bootstrap.servers": "x" })).to include("group.id")
      expect(refused(config: {})).to include("bootstrap.servers")
    end

    it "takes empty and nil ones as missing" do
      ["", nil].each do |nothing|
        expect(refused(config: config.merge("group.id": nothing))).to include("group.id")
        expect(refused(config: config.merge("bootstrap.servers": nothing))).to include("bootstrap.servers")
      end
    end

    it "takes the brokers under librdkafka's other name, too" do
      expect(handed_over({ "metadata.broker.list" => "x:1", "group.id" => "y" }))
        .to include("metadata.broker.list" => "x:1")
    end

    it "reports a key that librdkafka does not know, in librdkafka's words" do
      expect(refused(config: config.merge("group.idd": "x"))).to match(/No such configuration property.*group\.idd/)
    end

    it "reports a value that librdkafka does not take, in librdkafka's words" do
      bad = { "session.timeout.ms": "long", "auto.offset.reset" => "oldest", "max.poll.interval.ms": -1 }
      bad.each do |name, value|
        text = refused(config: config.merge(name => value))
        expect(text).to match(/(Invalid value|outside).*#{name}|#{name}.*outside/)
      end
    end

    it "can be asked again and again without leaking what it asked with" do
      bad = config.merge("group.idd": "x")
      expect { 200.times { refused(config: bad) } }.not_to raise_error
    end

    fixed = { "enable.auto.offset.store" => [true, false], "enable.auto.commit" => [false, true],
              "enable.partition.eof" => [true, false] }
    fixed.each do |name, (wrong, right)|
      it "refuses #{name} #{wrong}, in whatever form, and says why" do
        [wrong, wrong.to_s].product([name, name.to_sym]).each do |value, key|
          expect(refused(config: config.merge(key => value))).to match(/#{name}.* #{wrong}; it must be #{right}: ./)
        end
      end

      it "accepts #{name} #{right}, and sets it when it is not there" do
        [config, config.merge(name => right), config.merge(name.to_sym => right.to_s)].each do |good|
          expect(handed_over(good)).to include(name => right.to_s)
        end
      end
    end

    it "sets what holds a fast consumer back, unless the caller does" do
      expect(handed_over(config)).to include("fetch.queue.backoff.ms" => "10", "auto.commit.interval.ms" => "100")
      own = config.merge("fetch.queue.backoff.ms" => 50, "auto.commit.interval.ms": 1000)
      expect(handed_over(own)).to include("fetch.queue.backoff.ms" => "50", "auto.commit.interval.ms" => "1000")
    end

    it "leaves Kafka's own topics out of patterns, unless the caller says otherwise" do
      blacklist = lambda do |topics, own = {}|
        made(config: config.merge(own), topics: topics).instance_variable_get(:@options).config["topic.blacklist"]
      end
      expect([blacklist.call("^.*"), blacklist.call(["orders", "^pay"])]).to eq(%w[^__ ^__])
      expect([blacklist.call("orders"), blacklist.call("^__x"), blacklist.call(["__x", "^pay"])]).to all(be_nil)
      expect(blacklist.call("^.*", { "topic.blacklist": "^secret" })).to eq("^secret")
    end

    it "refuses patterns with KIP-848 where librdkafka would match nothing, and says so" do
      kip848 = config.merge("group.protocol": "consumer")
      { "2.8.0" => true, "2.9.1" => true, "2.10.0" => false, "2.15.1" => false }.each do |version, bad|
        stub_const("Rdkafka::LIBRDKAFKA_VERSION", version)
        expect(refused(config: kip848, topics: "^orders")).to include("pattern", version, "2.10.0") if bad
        expect { made(config: kip848, topics: "^orders") }.not_to raise_error unless bad
        expect { made(config: kip848, topics: "orders") }.not_to raise_error
        expect { made(topics: "^orders") }.not_to raise_error
      end
    end

    it "hands everything else over as it is" do
      own = { "client.id": :specs, "max.poll.interval.ms" => 10_000, "check.crcs": true }
      expect(handed_over(config.merge(own)))
        .to include("client.id" => "specs", "max.poll.interval.ms" => "10000", "check.crcs" => "true",
                    "group.id" => "specs", "bootstrap.servers" => ConsumerHelpers::SERVERS)
    end

    it "is not changed, and may be changed later without effect" do
      given = config.merge("client.id": +"specs")
      copy = given.dup
      consumer = made(config: given)
      expect(given).to eq(copy)
      given["group.id"] = given[:"group.id"] = "other"
      given[:"client.id"].replace("other")
      expect(consumer.instance_variable_get(:@options).config).to include("group.id" => "specs", "client.id" => "specs")
    end

    it "may be frozen" do
      expect { made(config: config.transform_values(&:freeze).freeze) }.not_to raise_error
    end

    it "may be an Rdkafka::Config" do
      expect(handed_over(Rdkafka::Config.new(config.merge("client.id": "specs"))))
        .to include("group.id" => "specs", "client.id" => "specs", "enable.auto.offset.store" => "false")
    end

    it "is checked in the same way when it is an Rdkafka::Config" do
      given = Rdkafka::Config.new(config.merge("enable.auto.offset.store": true))
      expect(refused(config: given)).to include("enable.auto.offset.store")
      expect(refused(config: Rdkafka::Config.new("bootstrap.servers": "x"))).to include("group.id")
      expect(refused(config: Rdkafka::Config.new(config.merge("group.idd": "x")))).to include("group.idd")
    end

    it "keeps the rebalance listener of an Rdkafka::Config" do
      listener = Object.new
      given = Rdkafka::Config.new(config).tap { |made| made.consumer_rebalance_listener = listener }
      expect(made(config: given).instance_variable_get(:@options).listener).to equal(listener)
    end
  end

  describe "topics" do
    { ArgumentError => [[], "", [""]],
      TypeError => [nil, ["orders", nil], :orders, ["orders", :more], 7, [["orders"]], {}] }.each do |error, bad|
      bad.each do |wrong|
        it "refuses #{wrong.inspect} with a #{error}" do
          expect(refused(error, topics: wrong)).to match(/\Atopics /)
        end
      end
    end

    it "takes one, several, and patterns" do
      ["orders", %w[orders payments], ["^orders-.*"], %w[orders].freeze].each do |good|
        expect(made(topics: good).instance_variable_get(:@options).topics).to eq(Array(good))
      end
    end

    it "takes each once" do
      expect(made(topics: %w[orders orders]).instance_variable_get(:@options).topics).to eq(%w[orders])
    end

    it "may be changed later without effect" do
      name = +"orders"
      names = [name]
      consumer = made(topics: names)
      name << "-more"
      names << "payments"
      expect(consumer.instance_variable_get(:@options).topics).to eq(%w[orders])
    end
  end

  describe "settings" do
    it "refuses a shutdown_timeout that is not a time" do
      { ArgumentError => [-1, Float::NAN], TypeError => [nil, "25", Complex(1, 1), :soon] }.each do |error, bad|
        bad.each do |wrong|
          expect(refused(error, shutdown_timeout: wrong)).to include("shutdown_timeout is #{wrong.inspect}")
        end
      end
    end

    it "takes any number of seconds" do
      [0, 0.5, Rational(1, 3), 10**9, Float::INFINITY].each do |good|
        expect { made(shutdown_timeout: good) }.not_to raise_error
      end
    end

    it "takes seconds, or nil, as start_timeout, and the variable when it is not passed" do
      ["7", 0.5, Rational(1, 3), nil].each { |good| expect { made(start_timeout: good) }.not_to raise_error }
      [0, -1, "soon", Float::NAN].each do |bad|
        refusal = /start_timeout is #{Regexp.escape(bad.inspect)}/
        expect { made(start_timeout: bad) }.to raise_error(ArgumentError, refusal)
      end
      with_env("WORK_SHAPER_START_TIMEOUT" => "soon") do
        expect(refused).to include("WORK_SHAPER_START_TIMEOUT")
        expect { made(start_timeout: 1) }.not_to raise_error
      end
    end

    it "takes bytes as max_bytes, and the variable when it is not passed; a quarter of it is librdkafka's" do
      queued = ->(**given) { made(**given).instance_variable_get(:@options).config["queued.max.messages.kbytes"] }
      expect([queued.call, queued.call(max_bytes: "8388608"), queued.call(max_bytes: 1)]).to eq(%w[16384 2048 1])
      expect(queued.call(max_bytes: 2**60)).to eq("2097151")
      expect(queued.call(config: config.merge("queued.max.messages.kbytes": 77))).to eq("77")
      expect(with_env("WORK_SHAPER_MAX_BYTES" => "4096000") { queued.call }).to eq("1000")
      [0, -1, "1 MB"].each do |bad|
        expect { made(max_bytes: bad) }.to raise_error(ArgumentError, /max_bytes is #{Regexp.escape(bad.inspect)}/)
      end
      [nil, 1.5].each { |bad| expect { made(max_bytes: bad) }.to raise_error(TypeError, /max_bytes/) }
      expect(with_env("WORK_SHAPER_MAX_BYTES" => "much") { refused }).to include("WORK_SHAPER_MAX_BYTES")
    end

    it "takes seconds as revoke_timeout, below what the group waits for, and the variable when it is not passed" do
      ["4", 0.5, 0].each { |good| expect { made(revoke_timeout: good) }.not_to raise_error }
      [-1, "soon", nil].each do |bad|
        expect { made(revoke_timeout: bad) }.to raise_error(/revoke_timeout is #{Regexp.escape(bad.inspect)}/)
      end
      config = { "session.timeout.ms": 6000, "max.poll.interval.ms": 7000 }
      expect { made(config: self.config.merge(config), revoke_timeout: 6) }
        .to raise_error(ArgumentError, /revoke_timeout is 6; it must be below session.timeout.ms, which is 6.0 s/)
      expect { made(config: self.config.merge("session.timeout.ms": 1000)) }.not_to raise_error
      with_env("WORK_SHAPER_REVOKE_TIMEOUT" => "60") { expect(refused).to include("revoke_timeout is 60") }
    end

    it "takes whether to trace as open_telemetry, and the variable when it is not passed; it is off" do
      traces = lambda do |**given|
        inner(:Options).new(config: config, topics: "orders", shutdown_timeout: 1, oauth_token: nil, settings: given)
                       .open_telemetry
      end
      [true, "true", "1"].each { |on| expect(traces.call(open_telemetry: on)).to be(true) }
      [false, "false", "0"].each { |off| expect(traces.call(open_telemetry: off)).to be(false) }
      ["yes", ""].each { |bad| expect(refused(open_telemetry: bad)).to end_with("it must be true or false") }
      [nil, 1, :yes].each { |bad| expect(refused(TypeError, open_telemetry: bad)).to include(bad.inspect) }
      expect([nil, "0", "1"].map { |set| with_env("WORK_SHAPER_OPEN_TELEMETRY" => set) { traces.call } })
        .to eq([false, false, true])
      with_env("WORK_SHAPER_OPEN_TELEMETRY" => "on") { expect(refused).to include("WORK_SHAPER_OPEN_TELEMETRY") }
    end

    bad = { concurrency: [0, -1, "many", nil, 1.5, 2**31], max_in_flight: [0, "x", nil],
            offset_commit_period_ms: [0, "5ms"], heartbeat_period_sec: [-1, "x"] }
    bad.each do |name, values|
      it "refuses a bad #{name} as the Manager does" do
        values.each do |value|
          expect { made(name => value) }.to raise_error(/#{name} is #{Regexp.escape(value.inspect)}/)
        end
      end
    end

    it "takes numbers as Integers and as digits" do
      good = { concurrency: "7", max_in_flight: 100, offset_commit_period_ms: "20", heartbeat_period_sec: nil }
      expect { made(**good) }.not_to raise_error
    end

    it "reports a bad variable in the environment" do
      with_env("WORK_SHAPER_CONCURRENCY" => "many") do
        expect(refused).to include("WORK_SHAPER_CONCURRENCY")
      end
    end
  end

  describe "callables" do
    wrong = {
      sub_key: [[-> {}, "no arguments"], [->(_one, _two) {}, "_two"], [->(key:) { key }, "key"]],
      around: [[-> {}, "no arguments"], [->(_one, _two, &_work) {}, "_two"]],
      on_error: [[->(_error) {}, "_error"], [->(_one, _two, _three) {}, "_three"]]
    }
    wrong.each do |name, cases|
      it "refuses a lambda for #{name} that cannot take its arguments" do
        cases.each do |callable, shown|
          expect(refused(name => callable)).to include("#{name} takes", shown)
        end
      end

      it "refuses #{name} that does not answer call" do
        [:key, "key", 7].each do |other|
          expect(refused(TypeError, name => other)).to include("#{name} is #{other.inspect}")
        end
      end

      it "takes nil for #{name}" do
        expect { made(name => nil) }.not_to raise_error
      end
    end

    it "refuses false, which is no way to say nil" do
      %i[sub_key around on_error].each do |name|
        expect(refused(TypeError, name => false)).to include("#{name} is false")
      end
    end

    # The work of a Manager, for one: each message would fail, and be committed.
    it "refuses a block that is a lambda and cannot take a message" do
      [->(_message, _partition, _offset) {}, -> {}, ->(_message, key:) { key }].each do |callable|
        expect { made(&callable) }.to raise_error(ArgumentError, /block takes/)
      end
    end

    it "takes blocks of all other kinds" do
      good = [->(_message) {}, ->(*) {}, ->(_message, _more = nil) {}, proc {}, proc { |_one, _two| }, :payload.to_proc,
              method(:puts).to_proc]
      good.each { |callable| expect { made(&callable) }.not_to raise_error }
    end

    it "takes Procs, Methods and anything that answers call" do
      callable = Class.new { def call(*); end }.new
      [callable, callable.method(:call), proc {}, ->(*, &_) {}].each do |good|
        expect { made(sub_key: good, around: good, on_error: good) }.not_to raise_error
      end
      expect { made(around: ->(_message, &work) { work.call }) }.not_to raise_error
    end

    # It could not do the work: each message would count as finished, and be committed.
    it "refuses a lambda for around that cannot take the work" do
      [->(message) { message }, ->(*) {}, ->(_message, _more = nil) {}].each do |callable|
        expect(refused(around: callable)).to match(/around .*no block.*->\(message, &work\)/)
      end
    end
  end
end
