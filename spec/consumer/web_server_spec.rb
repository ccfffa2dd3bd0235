# frozen_string_literal: true

require "spec_helper"
require "net/http"
require "socket"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "web" do
  before { WorkShaper.const_get(:Census).instance_variable_set(:@failed, []) } # what other examples have left

  # Where the last one serves, as the log says.
  def uri(path = "")
    entry = eventually("no address in the log") { log.entries(/\AWeb\z/).last }
    URI("#{entry[:address]}#{path}")
  end

  def get(path = "", **headers)
    Net::HTTP.get_response(uri(path), headers.transform_keys(&:to_s))
  end

  def refused?
    TCPSocket.new(uri.host.delete("[]"), uri.port).close
    false
  rescue Errno::ECONNREFUSED
    true
  end

  # What the server says to it, until it closes.
  def say(text)
    socket = TCPSocket.new(uri.host, uri.port)
    socket.write(text)
    socket.close_write
    socket.read
  ensure
    socket&.close
  end

  it "serves probes, metrics and numbers on loopback for as long as the consumer runs" do
    consumer = running(["orders", 0], web: 0)
    expect(uri.host).to eq("127.0.0.1")
    eventually { get("ready").code == "200" }
    expect(get("live").body).to eq("ok\n")
    expect(get("metrics").body).to include("work_shaper_running{group=\"specs\"} 0\n")
    expect(get("stats.json")["content-type"]).to eq("application/json")
    expect(Net::HTTP.post(uri("live"), "").code).to eq("405")
    expect(Net::HTTP.start(uri.host, uri.port) { |http| http.head("/live") }).to have_attributes(code: "200", body: nil)
    expect(stop(consumer)).to be(true)
    expect(refused?).to be(true)
    expect(Thread.list.filter_map(&:name).grep(/work_shaper web/)).to be_empty
  end

  it "gives only probes and metrics beyond loopback, unless the page is asked for" do
    statuses = lambda do |web, env = {}|
      with_env(env) { @client = ConsumerHelpers::FakeClient.new and running(["orders", 0], web: web) }
      %w[live metrics stats.json].map { |path| get(path).code }
    end
    expect(statuses.call("0.0.0.0:0")).to eq(%w[200 200 404])
    expect(get.body).to eq("there are /live, /ready and /metrics\n")
    expect(statuses.call({ address: "0.0.0.0:0", page: true })).to eq(%w[200 200 200])
    expect(statuses.call("0.0.0.0:0", "WORK_SHAPER_WEB_PAGE" => "1")).to eq(%w[200 200 200])
    expect(statuses.call({ address: 0, page: "false" })).to eq(%w[200 200 404])
  end

  it "passes on how long work may take, and whether keys are shown" do
    gate = self.gate
    running(["orders", 0], web: { address: "localhost:0", max_age: 0.01, keys: true }, stuck_after: 0.01) { gate.pass }
    client.produce("orders", 0, "secret")
    eventually { get("live").code == "503" }
    expect(get("stats.json").body).to include("secret")
    gate.open
  end

  it "is not to be reached by another name, which a page of somebody else's might have" do
    running(["orders", 0], web: 0)
    expect(get("stats.json", host: "evil.example:#{uri.port}").code).to eq("403")
    expect(get("stats.json", host: "localhost:#{uri.port}").code).to eq("200")
  end

  it "takes its address from the environment" do
    with_env("WORK_SHAPER_WEB" => "[::1]:0") { running(["orders", 0]) }
    skip "there is no IPv6" unless Socket.ip_address_list.any?(&:ipv6_loopback?)
    expect(uri.host).to eq("[::1]")
    expect(get("stats.json").code).to eq("200")
  end

  it "is one for all consumers of the process with that address, until the last has ended" do
    address = Addrinfo.tcp("127.0.0.1", 0).bind { |socket| socket.local_address.ip_port }
    first, second = Array.new(2) do
      running(["orders", 0], client: ConsumerHelpers::FakeClient.new, web: address)
    end
    eventually { get("metrics").body.include?("work_shaper_workers{group=\"specs\"}") }
    expect(log.entries(/\AWeb\z/).size).to eq(1)
    stop(first)
    expect(get("live").code).to eq("200")
    stop(second)
    expect(refused?).to be(true)
  end

  it "says that its address is in use, before the consumer joins its group" do
    taken = TCPServer.new("127.0.0.1", 0)
    consumer = running(web: taken.local_address.ip_port)
    expect(failure_of(consumer)).to be_a(WorkShaper::Error).and have_attributes(
      message: /\Aweb: 127\.0\.0\.1:#{taken.local_address.ip_port} cannot be opened: Address already in use/
    )
    expect(client.takes).to eq(0)
  ensure
    taken&.close
  end

  it "withstands garbage, and those who ask slowly hold up neither others nor a stop" do
    consumer = running(["orders", 0], web: 0)
    idle = [TCPSocket.new(uri.host, uri.port), TCPSocket.new(uri.host, uri.port)]
    idle.last.write("GET /live HTTP/1.1\r\nHost: ")
    ["\0\xFF\n\n", "GET\n\n", "GET /live HTTP/9.9\r\n\r\n", "GET /%zz HTTP/1.0\r\n\r\n", "GET //../.. HTTP/1.0\r\n\r\n",
     "GET /#{"x" * 100_000} HTTP/1.0\r\n\r\n", "GET /live?max_age=%00 HTTP/1.0\r\n\r\n"].each do |request|
      expect(say(request)).to match(%r{\A(HTTP/1\.[01] [24]|\z)})
    rescue Errno::ECONNRESET, Errno::EPIPE
      nil # it did not want to read all of it
    end
    expect(get("live").body).to eq("ok\n")
    expect(log.entries(/./, "ERROR")).to be_empty
    expect(stop(consumer)).to be(true)
  ensure
    idle&.each(&:close)
  end

  it "says what it accepts" do
    [9.5, :a, [1]].each do |bad|
      expect { fake_consumer(web: bad) { nil } }.to raise_error(TypeError, /web is .*; it must be a port \(9394\)/)
    end
    ["", "x", "1.2.3.4", "1.2.3.4:", "a b:1", "1:70000", -1, 65_536, "http://localhost:9394"].each do |bad|
      expect { fake_consumer(web: bad) { nil } }.to raise_error(ArgumentError, /web is .*; it must be a port \(9394\)/)
    end
    with_env("WORK_SHAPER_WEB" => "yes") do
      expect { fake_consumer { nil } }.to raise_error(ArgumentError, /\AWORK_SHAPER_WEB is "yes"; it must be/)
    end
    { { page: true } => /web is/, { address: 1, pages: true } => /unknown keyword: :pages; the options of web are/,
      { address: 1, page: "maybe" } => /page is "maybe"; it must be true or false/,
      { address: 1, max_age: 0 } => /max_age is 0/ }.each do |bad, message|
      expect { fake_consumer(web: bad) { nil } }.to raise_error(ArgumentError, message)
    end
  end

  it "says which gem it needs" do
    expect_consumer_to_pass(<<~RUBY)
      module Kernel
        prepend(Module.new { def require(name) = name == "webrick" ? raise(LoadError, "no webrick") : super })
      end
      raised = begin
        fake_consumer(web: 0) { nil }
      rescue LoadError => e
        e
      end
      same("to serve its probes and its page, a consumer needs the webrick gem: bundle add webrick", raised.message, "it")
      fake_consumer { nil }
      passed
    RUBY
  end
end
