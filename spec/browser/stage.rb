# frozen_string_literal: true

require "ferrum"
require "json"
require "logger"
require "puma"
require "puma/server"
require "rack"
require "work_shaper/consumer"
require_relative "../support/consumer/child"

# Everything that the examples share: a Kafka, a server with the page, and a browser that looks at it.
class Stage
  SHOTS = File.expand_path("../../tmp/browser", __dir__)
  PATIENCE = 20
  SHOWN = WorkShaper::Web.new
  # The page waits a tenth of what it says.
  HURRIED = "{ const slow = setTimeout; globalThis.setTimeout = (run, wait, ...rest) => slow(run, wait / 10, ...rest) }"

  # The numbers of this process, as if several took turns.
  SEVERAL = lambda do |env|
    status, headers, body = SHOWN.call(env)
    turn = (@turn = @turn.to_i + 1) % 2
    [status, headers, body.map { |text| text.sub(/"pid":\d+/, "\"pid\":#{turn + 1}") }]
  end
  LOGGED_OUT = lambda do |env|
    env["PATH_INFO"] == "/stats.json" ? [302, { "location" => "/login" }, []] : SHOWN.call(env)
  end

  attr_reader :mock, :page, :complaints

  def initialize
    hurry
    WorkShaper.logger = Rdkafka::Config.logger = Logger.new(File::NULL)
    @mock = ConsumerHelpers::MockCluster.new
    @app = Rack::URLMap.new("/" => SHOWN, "/open" => WorkShaper::Web.new(keys: true),
                            "/a%20%22b%22%3Cc%3E" => SHOWN, "/several" => SEVERAL, "/logged-out" => LOGGED_OUT)
    @port = 0
    serve
    @browser = browser
    @running = []
    @managers = []
    @gates = []
  end

  # A topic with messages: rows of partition, key, payload and headers.
  def topic(rows = [], partitions: 1)
    name = "topic-#{ConsumerHelpers::MockCluster.unique}"
    mock.create_topic(name, partitions: partitions)
    mock.produce(name, rows)
    name
  end

  # A consumer that runs until the example ends.
  def consumer(topic, group: topic, config: {}, **options, &work)
    config = { "bootstrap.servers": mock.bootstrap_servers, "group.id": group, "session.timeout.ms": 6000, **config }
    made = WorkShaper::Consumer.new(config: config, topics: topic, signals: false, heartbeat_period_sec: nil, **options,
                                    &work)
    @running << [made, Thread.new { made.run rescue nil }] # rubocop:disable Style/RescueModifier -- see its failure
    made
  end

  # A manager that works until the example ends.
  def manager(&work)
    made = WorkShaper::Manager.new(work: work, ack: ->(*) {}, heartbeat_period_sec: 0)
    @managers << made
    made
  end

  # Holds work until the example ends, or opens it.
  def gate
    Thread::Queue.new.tap { |gate| @gates << gate }
  end

  def clear
    @gates.each(&:close)
    consumers, threads = @running.transpose
    consumers&.each { |one| 2.times { one.stop } }
    threads&.each { |thread| thread.join(PATIENCE) or raise "a consumer did not stop" }
    WorkShaper.const_get(:Census).instance_variable_set(:@failed, [])
    @managers.each(&:shutdown)
    [@running, @managers, @gates].each(&:clear)
  end

  def serve
    @server = Puma::Server.new(@app, nil, min_threads: 1, max_threads: 3, persistent_timeout: 1, log_writer: Puma::LogWriter.null)
    @port = @server.add_tcp_listener("127.0.0.1", @port).addr[1]
    @server.run
  end

  def stop_serving
    @server.stop(true)
  end

  def close
    @browser.quit
    stop_serving
    mock.close
  end

  def origin
    "http://127.0.0.1:#{@port}"
  end

  # Opens the page, and waits until it shows numbers.
  def visit(path = "/", width: 1280, dark: false)
    @page&.close
    @complaints = []
    @page = @browser.create_page
    listen
    page.command("Emulation.setEmulatedMedia",
                 features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }])
    page.command("Page.addScriptToEvaluateOnNewDocument", source: HURRIED)
    page.command("Emulation.setDeviceMetricsOverride", width: width, height: 800, deviceScaleFactor: 1, mobile: false)
    page.go_to("#{origin}#{path}")
    self
  end

  def js(code)
    page.evaluate(code)
  end

  def text(selector = "main")
    js("[...document.querySelectorAll(#{selector.to_json})].filter((node) => node.checkVisibility())" \
       ".map((node) => node.innerText).join(' ')")
  end

  def turns
    js("Number(document.body.dataset.turns ?? 0)")
  end

  # Waits until the block is true, whose reason is what the page says.
  def eventually
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
    until (value = yield)
      late = Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
      raise "it never came true; the page: #{text("body")}" if late

      sleep 0.02
    end
    value
  end

  def see(words, selector = "main")
    eventually { words === text(selector) } # rubocop:disable Style/CaseEquality -- a Regexp or a lambda
  end

  # So many more answers were shown.
  def updates(count)
    enough = turns + count
    eventually { turns >= enough }
  end

  def open(selector)
    js("document.querySelector(#{selector.to_json}).open = true")
  end

  # A picture for those who want to look: SHOTS=1.
  def shot(name)
    return unless ENV["SHOTS"]

    FileUtils.mkdir_p(SHOTS)
    page.screenshot(path: File.join(SHOTS, "#{name}.png"), full: true)
  end

  # Whether the page is wider than the window.
  def too_wide?
    js("document.documentElement.scrollWidth > innerWidth")
  end

  # What axe-core finds wrong for people who see little, or use no mouse.
  def accessibility
    @axe ||= File.read(File.join(Gem.loaded_specs["axe-core-api"].full_gem_path, "node_modules/axe-core/axe.min.js"))
    page.execute(@axe)
    page.evaluate_async(<<~JS, PATIENCE)
      const told = ({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map((node) => node.target.join())]);
      axe.run().then((found) => arguments[0](told(found)));
    JS
  end

  # Seconds of the browser's main thread for each update.
  def seconds_an_update(count)
    before = [metrics, turns]
    updates(count)
    after = [metrics, turns]
    (after[0] - before[0]) / (after[1] - before[1])
  end

  private

  # Charts begin when the first period is over.
  def hurry
    { WorkShaper.const_get(:CloserLook) => :HISTORY_PERIOD,
      WorkShaper::Consumer.const_get(:LagHistory) => :PERIOD }.each do |owner, name|
      owner.send(:remove_const, name) # rubocop:disable RSpec/RemoveConst -- for all examples
      owner.const_set(name, 1)
    end
  end

  def browser
    options = { "no-sandbox" => nil } if Process.uid.zero?
    Ferrum::Browser.new(browser_options: options || {}, timeout: PATIENCE, process_timeout: PATIENCE)
  end

  def listen
    page.command("Log.enable")
    page.on("Log.entryAdded") { |event| complaints << event.dig("entry", "text") }
    page.on("Runtime.exceptionThrown") { |event| complaints << event["exceptionDetails"].to_s }
    page.command("Performance.enable")
  end

  def metrics
    page.command("Performance.getMetrics")["metrics"].find { |row| row["name"] == "TaskDuration" }["value"]
  end
end
