# frozen_string_literal: true

require "io/console"
require "json"
require "pty"

RSpec.describe "work_shaper inspect" do
  let(:partition) do
    { last_acked: 4710, waiting: 3, oldest_unfinished: 4711, oldest_age_sec: 754.2, oldest_attempt: 3,
      oldest_worker: "work_shaper worker 2", position: 4800, committed: 4711, end: 14_800, lag: 10_080 }
  end
  let(:stats) do
    consumer = { group: "payments", healthy: true, unready: nil, running: 2, waiting: 3, retrying: 1, workers: 25,
                 rates: { attempts: { last_minute: 12.34 } }, hot_keys: [{ sub_key: "k1", waiting: 1234 }],
                 partitions: { "orders/0" => partition, "orders/1" => { lag: nil, committed: nil, position: nil } },
                 work: [{ topic: "orders", partition: 0, offset: 4711, sub_key: "k1\e[2J", attempt: 3, seconds: 754.2,
                          worker: "work_shaper worker 2" }] }
    { version: "0.3.0", pid: 7, host: "shop-1", at: "2026-11-27T21:14:09.027Z", state: "ok", concerns: [],
      consumers: [consumer], managers: [], streams: [] }
  end
  let(:site) { @site = CommandHelpers::Site.new(JSON.generate(stats)) }

  after { @site&.close }

  def lines(*arguments)
    called = work_shaper("inspect", site.url, *arguments)
    expect([called.status, called.stderr]).to eq([0, ""])
    called.stdout.lines.map { |line| line.strip.squeeze(" ") }
  end

  it "prints the page once where there is no terminal: lag, gap, what blocks it and for how long, what workers do" do
    expect(lines).to eq(<<~TEXT.lines(chomp: true))
      work_shaper 0.3.0, process 7 on shop-1, 2026-11-27 21:14:09 UTC
      All is well.

      payments: lag not known, 2 partitions
      2 running, 3 waiting, 1 retrying, 25 workers, 12.3 tries/s

      partition lag committed end gap blocked by for attempt worker
      orders/0 10,080 4,711 14,800 89 4,711 12 min 3 worker 2
      orders/1 - - - - - - - -

      working message attempt for key
      worker 2 orders/0:4711 3 12 min k1\\e[2J

      most waits on k1 (1,234)
    TEXT
    expect(site.requests.flatten.first).to eq("GET /stats.json HTTP/1.1")
  end

  it "says what is not well, and since when" do
    stats.merge!(state: "bad", concerns: [
                   { level: "bad", what: "Kafka does not answer", since: "2026-11-27T21:13:39.027Z", error: "transport",
                     group: "payments" }, { level: "warning", what: "something\nelse", since: nil, group: nil }
                 ])
    expect(lines[1..3]).to eq(["It is not well:",
                               "payments: Kafka does not answer, since 2026-11-27 21:13:39, for 30 s (transport)",
                               'something\nelse'])
  end

  it "reads what WorkShaper::Web serves, of consumers, managers and streams" do
    shaper = manager(work: ->(*) { gate.pass }, stuck_after: 0.05)
    shaper.enqueue("a", "b", 0, 0)
    eventually { shaper.stats[:stuck].any? }
    site.answer = WorkShaper::Web.new.call("REQUEST_METHOD" => "GET", "PATH_INFO" => "/stats.json",
                                           "QUERY_STRING" => "").last.join
    expect(lines).to include(/\Awork_shaper #{WorkShaper::VERSION}, process #{Process.pid}/, "Not all is well:",
                             /offset 0 is stuck, at attempt 1, since \d{4}-.*, for \d/, "A manager", /\A1 running, /)
  end

  it "takes the address of the page wherever it is mounted, with a login" do
    ["/work_shaper", "/work_shaper/", "/work_shaper/stats.json"].each do |path|
      work_shaper("inspect", site.url.sub("//", "//admin:se%20cret@") + path)
    end
    expect(site.requests.map(&:first).uniq).to eq(["GET /work_shaper/stats.json HTTP/1.1"])
    expect(site.requests.map { |request| request.grep(/authorization/i) }.uniq)
      .to eq([["Authorization: Basic #{["admin:se cret"].pack("m0")}"]])
  end

  {
    ["404 Not Found", "no"] => /answered 404 Not Found$/, ["302 Found", ""] => /answered 302 Found$/,
    "<html>" => /is not what WorkShaper::Web serves$/, "[1]" => /is not what WorkShaper::Web serves$/,
    '{"consumers":[{"partitions":{"orders/0":{"lag":"x"}}}]}' => /is not what WorkShaper::Web serves$/,
    :garbage => /wrong status line/,
    "{}" => /is not what WorkShaper::Web serves$/, "" => /is not what WorkShaper::Web serves$/
  }.each do |answer, message|
    it "says what is wrong with #{answer.inspect}, without the password" do
      site.answer = answer
      called = work_shaper("inspect", site.url.sub("//", "//admin:secret@"))
      expect([called.status, called.stdout, called.stderr]).to match([1, "", %r{\Awork_shaper: #{site.url}/stats.json}])
      expect(called.stderr).to match(message)
    end
  end

  it "shows what it can of what is not as it should be" do
    odd = { version: nil, at: "yesterday", state: "odd\e[2J", concerns: "x", managers: [1, {}], streams: nil,
            consumers: [{ group: 1, partitions: [], work: {}, hot_keys: [{}] }] }
    site.answer = JSON.generate(odd)
    expect(lines).to include('odd\e[2J', "1: lag 0, 0 partitions", "A manager")
  end

  it "gives up who does not answer" do
    command = WorkShaper.const_get(:CommandLine).const_get(:Inspect)
    expect(command::LIMIT).to be_between(1, 10)
    site.answer = :silence
    allow(Net::HTTP).to receive(:start).and_wrap_original do |start, *arguments, **options, &block|
      expect(options.slice(:open_timeout, :read_timeout).values).to eq([command::LIMIT] * 2)
      start.call(*arguments, **options, read_timeout: 0.2, &block)
    end
    expect(work_shaper("inspect", site.url)).to have_attributes(status: 1, stderr: /Timeout/)
  end

  describe "in a terminal" do
    # What the screen gets, as it comes.
    def terminal(url)
      environment = CommandHelpers::RAW.merge("TERM" => "xterm")
      reader, writer, pid = PTY.spawn(environment, RbConfig.ruby, "-I", File.join(Program::ROOT, "lib"),
                                      CommandHelpers::EXECUTABLE, "inspect", url)
      # Held open: Linux may say EIO to who reads while the other end closes, with something still there to be read.
      File.open(reader.path, File::RDWR | File::NOCTTY) do
        writer.winsize = [30, 100]
        yield reader, writer, pid
      end
      Timeout.timeout(10) { Process.wait2(pid).last.exitstatus }
    ensure
      reader&.close
      writer&.close
    end

    def read_until(reader, what)
      text = +""
      Timeout.timeout(20) { text << reader.readpartial(4096) until text.match?(what) }
      text
    rescue Timeout::Error, SystemCallError => e
      raise "#{what.inspect} did not come (#{e.class}):\n#{text}"
    end

    { "q" => "q", "Ctrl-C" => "\u0003" }.each do |name, key|
      it "looks again each second, until #{name}, and leaves the screen as it was" do
        status = terminal(site.url) do |reader, writer|
          first = read_until(reader, /q ends/)
          expect(first).to include("\e[?1049h", "\e[H", "All is well.", "4,711")
          expect(first).not_to include("k1\e[2J")
          site.answer = site.answer.sub('"state":"ok"', '"state":"none"')
          read_until(reader, /Nothing is at work/)
          site.answer = ["503 Away", ""]
          read_until(reader, /answered 503 Away.*Nothing is at work/m)
          writer.write(key)
          read_until(reader, /\e\[\?1049l\e\[\?25h/)
        end
        expect(status).to eq(0)
      end
    end
  end
end
