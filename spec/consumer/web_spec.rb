# frozen_string_literal: true

require "spec_helper"
require "json"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Web do
  let(:web) { described_class.new }

  def get(path, web = self.web, **env)
    path, query = path.split("?", 2)
    web.call({ "REQUEST_METHOD" => "GET", "PATH_INFO" => path, "QUERY_STRING" => query.to_s, **env })
  end

  def status(path, web = self.web)
    get(path, web).first
  end

  def body(path, web = self.web)
    get(path, web).last.join
  end

  before { WorkShaper.const_get(:Census).instance_variable_set(:@failed, []) }

  describe "/live" do
    it "says yes while consumers are healthy, or there are none" do
      expect(get("/live")).to eq([200, { "content-type" => "text/plain; charset=utf-8", "cache-control" => "no-store" },
                                  ["ok\n"]])
      running(["orders", 0])
      expect(status("/live")).to eq(200)
    end

    it "says what is stuck, and for how long that may be" do
      gate = self.gate
      consumer = running(["orders", 0], stuck_after: 0.05) { gate.pass }
      client.produce("orders", 0, "secret")
      eventually { consumer.stats[:stuck].any? }
      eventually { body("/live?max_age=0.1") == "specs: stuck at orders/0:0\n" }
      expect(status("/live?max_age=0.1")).to eq(503)
      expect(status("/live")).to eq(200)
      expect(status("/live", described_class.new(max_age: 0.1))).to eq(503)
      gate.open
      eventually { status("/live?max_age=0.1") == 200 }
    end

    it "says that a consumer has ended with an error, until another one of its group runs" do
      consumer = running(["orders", 0], attempts: 1, give_up: :stop) { raise IOError, "disk" }
      client.produce("orders", 0, "a")
      failure_of(consumer)
      expect(get("/live").values_at(0, 2)).to match([503, [/\Aspecs: it has ended: WorkShaper::GaveUp: .*disk\n\z/]])
      @client = client.successor
      running(["orders", 0]) { nil }
      eventually { status("/live") == 200 }
    end

    it "takes no nonsense as the limit" do
      ["", "x", "-1", "0", "NaN", "1e9999x"].each { |limit| expect(status("/live?max_age=#{limit}")).to eq(400) }
    end
  end

  describe "/ready" do
    it "says no before there is an assignment, when Kafka is away, and when it stops" do
      replace_constant(inner(:Lookout), :PERIOD, 0.02)
      replace_constant(inner(:Reachability), :PATIENCE, 0)
      expect(get("/ready").values_at(0, 2)).to eq([503, ["no consumer and no manager runs\n"]])
      gate = self.gate
      consumer = running { gate.pass }
      eventually { body("/ready") == "specs: the group has given it no assignment yet\n" }
      client.assign(["orders", 0])
      eventually { status("/ready") == 200 }
      client.queries.silent = true
      eventually { body("/ready") == "specs: Kafka does not answer\n" }
      expect(status("/live")).to eq(200)
      client.queries.silent = false
      eventually { status("/ready") == 200 }
      client.produce("orders", 0, "a")
      eventually { gate.waiting == 1 }
      consumer.stop
      eventually { body("/ready") == "specs: it stops\n" }
      gate.open
    end

    it "says yes for a manager" do
      manager # its thread begins in a moment
      eventually { status("/ready") == 200 }
      expect(body("/ready")).to eq("ok\n")
    end
  end

  describe "/metrics" do
    it "is Prometheus' text, or OpenMetrics for who accepts that" do
      running(["orders", 0])
      _, headers, body = get("/metrics")
      expect(headers["content-type"]).to eq(WorkShaper::Metrics::CONTENT_TYPE)
      expect(body.join).to include("work_shaper_running{group=\"specs\"} 0\n")
      accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
      _, headers, body = get("/metrics", "HTTP_ACCEPT" => accept)
      expect(headers["content-type"]).to eq(WorkShaper::Metrics::OPENMETRICS_CONTENT_TYPE)
      expect(body.join).to end_with("# EOF\n")
    end
  end

  describe "/stats.json" do
    def stats(web = self.web)
      JSON.parse(body("/stats.json", web))
    end

    it "has the numbers of consumers, managers and streams; sub keys and payloads only when they are asked for" do
      gate = self.gate
      running(["orders", 0]) { gate.pass }
      client.produce("orders", 0, "secret", "secret")
      shaper = manager(work: ->(*) { gate.pass })
      shaper.enqueue("secret", "secret", 0, 0)
      stream = WorkShaper::Stream.new { gate.pass }
      stream << "secret"
      eventually { gate.waiting == 3 }
      all = stats
      expect(all["consumers"].first).to include("group" => "specs", "healthy" => true, "running" => 1,
                                                "work" => [include("offset" => 0, "sub_key" => nil)])
      expect(all["consumers"].first["durations"]["orders"]["work"]).to include("count" => 0)
      expect(all["managers"].first).to include("running" => 1)
      expect(all["streams"].first).to include("running" => 1)
      expect(body("/stats.json")).not_to include("secret")
      shown = body("/stats.json", described_class.new(keys: true))
      expect(JSON.parse(shown)["consumers"].first["hot_keys"]).to eq([{ "sub_key" => "secret", "waiting" => 1 }])
      gate.open
      stream.close.to_a
      shaper.shutdown
    end

    it "withstands keys and partitions that are no text" do
      gate = self.gate
      shaper = manager(work: ->(*) { gate.pass })
      shaper.enqueue("\xFF\"</script>", :message, "\xFE", 0)
      shaper.enqueue(Float::NAN, :message, Object.new, 1)
      eventually { gate.waiting == 2 }
      expect(stats(described_class.new(keys: true))["managers"].first["partitions"].size).to eq(2)
      gate.open
    end
  end

  it "knows nothing else, and changes nothing" do
    expect(status("/")).to eq(404)
    expect(status("/../etc/passwd")).to eq(404)
    expect(web.call("REQUEST_METHOD" => "POST", "PATH_INFO" => "/live").first).to eq(405)
    expect(web.call("REQUEST_METHOD" => "HEAD", "PATH_INFO" => "/live").values_at(0, 2)).to eq([200, []])
  end

  { 0 => ArgumentError, -1 => ArgumentError, nil => TypeError, "600" => TypeError, Float::NAN => ArgumentError }
    .each do |value, error|
      it "refuses max_age #{value.inspect}" do
        expect { described_class.new(max_age: value) }.to raise_error(error, /max_age is .*; it must be/)
      end
    end
end
