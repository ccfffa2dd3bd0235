# frozen_string_literal: true

require "spec_helper"
require "digest"
require "json"
require "time"
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
      expect(get("/live").values_at(0, 2)).to eq([503, ["specs: it has ended: WorkShaper::GaveUp: IOError\n"]])
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

    it "says that nothing is at work, or that all is well" do
      expect(stats).to include("state" => "none", "concerns" => [], "pid" => Process.pid, "keys" => false)
      running(["orders", 0])
      eventually { stats["state"] == "ok" }
    end

    it "says what is not well, the worst first, and since when; texts of errors only when they are asked for" do
      replace_constant(inner(:Lookout), :PERIOD, 0.02)
      replace_constant(inner(:Reachability), :PATIENCE, 0)
      gate = self.gate
      consumer = running(["orders", 0], stuck_after: 0.05, wait: 9, breaker: false, give_up: :skip,
                                        rules: { EOFError => :skip }) do |message|
        errors = { "bad" => IOError, "skip" => EOFError }
        errors.key?(message.key) ? raise(errors[message.key], "secret") : gate.pass
      end
      client.produce("orders", 0, "slow", "bad", "skip")
      eventually { consumer.stats.values_at(:retrying, :total_skipped, :running) == [1, 1, 1] }
      eventually { stats["concerns"].map { |one| one["what"] } == ["orders/0 offset 0 is stuck, at attempt 1"] }
      client.queries.silent = true
      eventually { stats["concerns"].size == 2 }
      expect(stats).to include("state" => "bad", "concerns" => [
                                 include("level" => "bad", "what" => "Kafka does not answer", "group" => "specs"),
                                 include("level" => "warning", "id" => consumer.__id__, "error" => nil)
                               ])
      expect(stats["concerns"].map { |one| Time.parse(one["since"]) }).to all(be_between(Time.now - 60, Time.now))
      expect(stats["consumers"].first["given_up"])
        .to match([include("partition" => "orders/0", "offset" => 2, "error" => "EOFError", "action" => "skip")])
      gate.open
      blocked = ->(web) { stats(web)["consumers"].first["blocked"].first }
      eventually { blocked.call(described_class.new)&.fetch("offset") == 1 }
      expect(blocked.call(web)).to include("offset" => 1, "attempt" => 2, "sub_key" => nil, "error" => "IOError",
                                           "backtrace" => include(/web_spec/))
      expect(blocked.call(described_class.new(keys: true))).to include("sub_key" => "bad", "error" => "IOError: secret")
      expect(body("/stats.json")).not_to include("secret")
    end

    it "tells of a group that gives no partitions, when that has lasted" do
      running
      eventually { stats.dig("consumers", 0, "unready") == "the group has given it no assignment yet" }
      expect(stats["concerns"]).to be_empty
      replace_constant(described_class.const_get(:Concerns), :PATIENCE, 0)
      expect(stats["concerns"])
        .to match([include("level" => "warning", "since" => stats["consumers"].first["began_at"],
                           "what" => "No messages can come: the group has given it no assignment yet")])
    end

    it "tells that a consumer has ended, and a manager, without the texts of their errors" do
      consumer = running(["orders", 0], attempts: 1, give_up: :stop) { raise IOError, "secret" }
      client.produce("orders", 0, "a")
      failure_of(consumer)
      shaper = manager(work: ->(*) { raise IOError, "secret" }, give_up: :stop, attempts: 1)
      shaper.enqueue(:key, :message, "part", 3)
      eventually { shaper.stats[:fatal] }
      expect(stats["concerns"].first).to include("what" => "The consumer has ended", "error" => "WorkShaper::GaveUp",
                                                 "since" => String)
      expect(body("/stats.json")).not_to include("secret")
    end

    it "has the settings in force, without what may be a secret, and the lag of the last minutes" do
      replace_constant(inner(:LagHistory), :PERIOD, 0)
      config = { "sasl.password": "secret", "ssl.key.pem": "secret", "client.id": "me" }
      rules = { IOError => :skip, ->(error) { error } => { attempts: 3 } }
      consumer = running(["orders", 0], config: config, rules: rules, wait: 1..8, attempts: 9, give_up: "dead",
                                        concurrency: 3)
      consumer.concurrency = 4
      settings = -> { eventually { stats.dig("consumers", 0, "settings") } }
      expect(settings.call).to include(
        "group" => "specs", "concurrency" => 4, "max_bytes" => 64 * 1024 * 1024, "attempts" => 9,
        "wait" => "1..8 s", "give_up" => "dead", "dead_letter_topics" => ["dead"], "client.id" => "me",
        "auto.offset.reset" => "earliest",
        "rules" => include("IOError" => include("give_up" => "skip", "attempts" => 0)), "drain" => false
      )
      eventually { stats.dig("consumers", 0, "history", "lag").last&.last == 0 }
      expect(body("/stats.json", described_class.new(keys: true))).not_to include("secret")
      shaper = manager(concurrency: 2)
      eventually { stats["managers"].any? }
      expect(stats["managers"].first["settings"]).to include("concurrency" => 2, "attempts" => 1, "give_up" => "skip")
      shaper.shutdown
    end

    it "cuts long keys, and spells out what is no text" do
      gate = self.gate
      shaper = manager(work: ->(*) { gate.pass })
      ["k" * 1_000_000, "\xFF\u00E9", 2**70, "\u00E9".encode("UTF-16LE"), ["a"],
       Object.new.tap { |key| key.define_singleton_method(:to_s) { raise "no" } }]
        .each_with_index { |key, n| 2.times { |time| shaper.enqueue(key, :message, 0, (10 * n) + time) } }
      eventually { gate.waiting == 6 }
      expect(stats(described_class.new(keys: true))["managers"].first["hot_keys"].map { |row| row["sub_key"] })
        .to contain_exactly("#{"k" * 300}... (999700 more characters)", "\\xFF\u00E9", (2**70).to_s, "\u00E9",
                            "[\"a\"]", "?")
      gate.open
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

  # What a browser makes of it is in spec/browser.
  describe "/" do
    let(:assets) { File.expand_path("../../lib/work_shaper/web/assets", __dir__) }

    it "is a page that takes scripts and styles from here alone, and is framed by nobody" do
      _, headers, body = get("/")
      expect(headers).to include("content-type" => "text/html; charset=utf-8", "x-content-type-options" => "nosniff",
                                 "cache-control" => "no-store", "referrer-policy" => "no-referrer")
      expect(headers["content-security-policy"])
        .to start_with("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; ")
        .and include("frame-ancestors 'none'", "require-trusted-types-for 'script'")
      expect(body.join.scan(/<(?:script|link|img)[^>]*>/).grep_v(/(?:src|href)="[\w.]/)).to be_empty
      expect(body.join).not_to match(/<style|style=|<script>| on\w+=/)
    end

    { "" => "", "/" => "", "/work_shaper" => "/work_shaper/", "/ops//work_shaper/" => "/ops/work_shaper/",
      "//evil.example" => "/evil.example/", "/a%20b" => "/a%20b/", "/100%" => "/100%25/",
      "/\"><script>'&" => "/%22%3E%3Cscript%3E%27%26/", "/\u00E9\xFF" => "/%C3%A9%FF/" }.each do |mounted_at, base|
      it "finds what belongs to it when it is mounted at #{mounted_at.inspect}" do
        ["", "/"].each do |path|
          expect(get(path, "SCRIPT_NAME" => mounted_at).last.join).to include("src=\"#{base}page.js\"")
        end
      end
    end

    it "has each of its files, with its type, and again only when it has changed" do
      files = Dir[File.join(assets, "**", "*.{js,css,svg}")].map { |file| file.delete_prefix(assets) }
      expect(files).to include("/page.js", "/page.css", "/icon.svg", "/vendor/uPlot.iife.min.js")
      files.each do |path|
        code, headers, body = get(path)
        expect([code, body.join]).to eq([200, File.read(File.join(assets, path))])
        type = { ".js" => "text/javascript; charset=utf-8", ".css" => "text/css; charset=utf-8",
                 ".svg" => "image/svg+xml" }.fetch(File.extname(path))
        expect(headers).to include("content-type" => type, "cache-control" => "no-cache")
        expect(get(path, "HTTP_IF_NONE_MATCH" => headers["etag"]).values_at(0, 2)).to eq([304, []])
      end
      ["/index.html", "/vendor", "/vendor/", "/vendor/uPlot.VERSION.txt", "/../overview.rb", "/page.js/"]
        .each { |path| expect(status(path)).to eq(404) }
    end

    it "has the chart library as it was published" do
      noted = File.read(File.join(assets, "vendor", "uPlot.VERSION.txt")).scan(/^(\h{64})  (\S+)$/)
      expect(noted.to_h(&:reverse)).to eq(
        Dir[File.join(assets, "vendor", "*.{js,css}")].to_h { |file| [File.basename(file), Digest::SHA256.file(file).to_s] }
      )
      expect(File.read(File.join(assets, "vendor", "uPlot.LICENSE.txt"))).to start_with("The MIT License")
    end

    it "takes up only characters that can be seen as they are" do
      Dir[File.join(assets, "*.{js,css,html}")].each { |file| expect(File.read(file)).not_to match(/[\p{Cf}\p{Co}]/) }
    end
  end

  it "knows nothing else, and changes nothing" do
    expect(status("/x")).to eq(404)
    expect(status("/../etc/passwd")).to eq(404)
    expect(web.call("REQUEST_METHOD" => "POST", "PATH_INFO" => "/live").first).to eq(405)
    expect(web.call("REQUEST_METHOD" => "POST", "PATH_INFO" => "/").first).to eq(405)
    expect(web.call("REQUEST_METHOD" => "HEAD", "PATH_INFO" => "/live").values_at(0, 2)).to eq([200, []])
  end

  { 0 => ArgumentError, -1 => ArgumentError, nil => TypeError, "600" => TypeError, Float::NAN => ArgumentError }
    .each do |value, error|
      it "refuses max_age #{value.inspect}" do
        expect { described_class.new(max_age: value) }.to raise_error(error, /max_age is .*; it must be/)
      end
    end
end
