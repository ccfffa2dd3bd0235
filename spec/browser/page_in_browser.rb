# frozen_string_literal: true

# What page_spec.rb runs. To look at the page yourself: SHOTS=1 bin/test spec/browser, then tmp/browser/*.png.

require_relative "stage"

STAGE = Stage.new

RSpec.configure do |config|
  config.order = :defined
  config.after { STAGE.clear }
  config.after(:suite) { STAGE.close }
end

RSpec.describe WorkShaper::Web do
  let(:stage) { STAGE }

  # Nothing came from elsewhere, was refused or raised.
  def expect_quiet
    expect(stage.complaints).to be_empty
    urls = stage.page.network.traffic.map(&:url)
    expect(urls.reject { |url| url.start_with?("#{stage.origin}/") }).to be_empty
  end

  # What a row says, without the name.
  def row(name)
    stage.js("[...document.querySelectorAll('tbody tr')]" \
             ".find((row) => row.innerText.startsWith(#{name.to_json}))?.innerText")
  end

  # What the screen reader has been told.
  def listen
    stage.js("globalThis.told = []")
    stage.js(<<~JS)
      new MutationObserver(() => told.push(announcer.textContent))
        .observe(announcer, { childList: true, characterData: true, subtree: true })
    JS
  end

  it "says that nothing is at work" do
    stage.visit.see(/\ANothing is at work in this process/)
    expect(stage.js("document.title")).to eq("– Nothing is at work in this process – WorkShaper")
    expect_quiet
  end

  it "shows a consumer, a manager and a stream at work, on a screen, on a phone and in the dark" do
    gate = stage.gate
    rows = Array.new(1200) { |n| [n % 12, n == 1 ? "slow" : "key #{n}", "payload-word"] }
    topic = stage.topic(rows, partitions: 12)
    stage.consumer(topic, group: "orders", config: { "sasl.password": "pass-word" }) do |message|
      gate.pop if message.key == "slow"
      raise IOError, "text-word" if message.partition == 3 && message.offset == 7
    end
    shaper = stage.manager { gate.pop }
    3.times { |n| shaper.enqueue("key-word", "payload-word", :part, n) }
    stream = WorkShaper::Stream.new(concurrency: 2) { gate.pop }
    5.times { |n| stream << n }

    stage.visit.see(/\AAll is well\n.*1 consumer, 1 manager, 1 stream/m)
    stage.eventually { row("#{topic}/1\n")&.match?(/\s1\s+0\s+99\s+100\s/) } # running, waiting, gap, lag
    stage.eventually { row("#{topic}/3\n")&.include?("attempt") }
    expect(stage.js("[...document.querySelectorAll('.bar')].map((bar) => bar.ariaLabel)"))
      .to include("1 running, 0 waiting, 99 finished beyond", "1 running, 2 waiting, 0 finished beyond")
    expect(stage.text("h2")).to eq("orders Manager 1 Streams")
    stage.open("details.panel")
    stage.see(/auto\.offset\.reset\s+earliest/, "details.panel")
    expect(stage.js("document.documentElement.outerHTML")).not_to match(/pass-word|payload-word|text-word|key-word/)

    stage.eventually { stage.js("document.querySelectorAll('.plot canvas').length") == 3 }
    stage.see(%r{worked on [\d.,]+/s, of}, "figcaption") # the same as the chart says
    expect(stage.accessibility).to be_empty
    stage.shot("at-work")
    expect_quiet

    stage.visit(dark: true, width: 360).see(/\AAll is well/)
    stage.eventually { stage.js("document.querySelectorAll('.plot canvas').length") == 3 }
    expect(stage).not_to be_too_wide
    expect(stage.accessibility).to be_empty
    stage.shot("phone-dark")
    gate.close
    stream.close.to_a
  end

  it "says what is stuck, where and since when, and that all is well again, to those who listen, too" do
    gate = stage.gate
    topic = stage.topic([[0, "slow", "x"], [0, "slow", "y"]])
    stage.consumer(topic, stuck_after: 0.2) { gate.pop }
    stage.visit.see(%r{\A#{topic}/0 offset 0 is stuck, at attempt 1})
    expect(stage.text("#concerns")).to match(/topic-\S+ since \d\d:\d\d:\d\d, for \d/)
    listen
    stage.updates(2)
    expect(stage.js("told")).to be_empty # not each second
    expect(stage.js("document.title")).to start_with("▲ ")
    stage.eventually { row("worker 1") }
    stage.js("[...document.querySelectorAll('td details')].at(-1).open = true")
    stage.see(/page_in_browser\.rb:\d+:in .*pop/, ".frames")
    stage.shot("stuck")
    gate.close
    stage.see(/\AAll is well/)
    expect(stage.js("told")).to eq(["All is well"])
    expect_quiet
  end

  it "tells of a message that is tried again and again, of a breaker that is open, and of a consumer that has ended" do
    down = true
    topic = stage.topic(Array.new(20) { |n| [0, "key #{n}", "x"] })
    stage.consumer(topic, breaker: { of: 5, share: 0.5, wait: 0.1..0.2 }, wait: 0.1) do
      raise IOError, "text-word" if down
    end
    stage.consumer(stage.topic([[0, "a", "x"]]), group: "ended", attempts: 1, give_up: :stop) do
      raise EOFError, "text-word"
    end
    stage.visit.see(/\A2 things need attention/)
    stage.eventually do
      concerns = stage.text("#concerns")
      concerns.match?(/The breaker is open.* topic-\S+ since .*IOError/) &&
        concerns.match?(/The consumer has ended ended since .*GaveUp/)
    end
    expect(stage.js("document.title")).to start_with("✖ ")
    expect(stage.text("body")).not_to include("text-word")
    stage.see(%r{#{topic}/0 offset 0\s+hidden\s+[\d.]+ s\s+\d+\s+waits for its next try.*\n\s*IOError}, ".panel")
    expect(stage.accessibility).to be_empty
    stage.shot("breaker")
    expect_quiet
    stage.visit("/open").see(/The breaker is open.*IOError: text-word/m)
    stage.see(/The consumer has ended.*EOFError: text-word/m)
    expect(stage.text(".panel")).to match(/offset 0\s+key 0\s/)
    down = false
    stage.see(/\AThe consumer has ended/)
  end

  it "says that Kafka is away, since when, and goes on when it is back" do
    stage.consumer(stage.topic, config: { "reconnect.backoff.max.ms": 200 }) { nil }
    stage.visit.see(/\AAll is well/)
    stage.mock.down
    stage.see(/\AKafka does not answer/)
    expect(stage.text("#concerns")).to match(/topic-\S+ since \d\d:\d\d:\d\d, for/)
    stage.shot("kafka-away")
    stage.mock.up
    stage.see(/\AAll is well/)
  end

  it "says that the process does not answer, since when, and goes on when it does" do
    shaper = stage.manager { nil }
    shaper.enqueue(1, 1, 1, 1)
    stage.visit.see(/\AAll is well/)
    stage.stop_serving
    stage.see(/\AThis process does not answer\n+since \d\d:\d\d:\d\d, for .* What is below is of \d\d:/)
    expect(stage.text("h2")).to eq("Manager 1")
    expect(stage.accessibility).to be_empty
    stage.serve
    stage.see(/\AAll is well/)
    expect(stage.js("document.body.className")).to eq("")

    stage.visit("/logged-out").see(/\AYou are not logged in any more/)
    stage.visit("/several").see(/Several processes answer at this address \(1, 2\)/)
  end

  it "asks for nothing while it is paused, and can be used with the keyboard alone" do
    stage.visit.updates(1)
    focused = lambda do
      stage.page.keyboard.type(:tab)
      stage.js("document.activeElement.innerText")
    end
    expect(focused.call).to eq("Skip to the numbers")
    expect(focused.call).to eq("Pause")
    stage.page.keyboard.type(:enter)
    stage.see("Go on", "#pause")
    turns = stage.turns
    asked = stage.page.network.traffic.size
    stage.js("new Promise((done) => setTimeout(done, 5000))")
    expect([stage.turns - turns, stage.page.network.traffic.size - asked]).to all(be <= 1) # one may have been under way
    stage.page.keyboard.type(:enter)
    stage.updates(2)
  end

  it "lets no key, topic, group, error or path become anything but text" do
    evil = "<img src=x onerror=globalThis.pwned=1><script>globalThis.pwned=1</script>\"'`&amp;${pwned=1}"
    keys = [evil, "\u202Eright to left\u202C", "new\nline\tand \u0000", "\xFF\xFEbytes".b, "k" * 1_000_000,
            "\u05D0\u05D1", "{{constructor.constructor('pwned=1')()}}", "javascript:pwned=1"]
    topic = stage.topic(keys.map { |key| [0, key, evil, { evil => evil }] } * 3)
    gate = stage.gate
    kind = Class.new(StandardError) { define_singleton_method(:to_s) { evil } }
    stage.consumer(topic, group: evil, stuck_after: 0.1, wait: 0.05, breaker: false) do |message|
      message.offset.odd? ? raise(kind, evil) : gate.pop
    end
    shaper = stage.manager { gate.pop }
    keys.each.with_index do |key, n|
      2.times { |time| shaper.enqueue(key, evil, "#{key[0, 200]} #{evil}", n + (100 * time)) }
    end
    ["/open", "/a%20%22b%22%3Cc%3E"].each do |path|
      stage.visit(path).see(%r{\A#{topic}/0 offset \d is stuck})
      stage.eventually { stage.text("h2").include?(evil) }
      stage.js("document.querySelectorAll('details').forEach((one) => { one.open = true })")
      stage.updates(1)
      expect(stage.js("globalThis.pwned")).to be_nil
      expect(stage.js("document.querySelectorAll('script, img, iframe, [onerror]').length")).to eq(3) # ours
      expect(stage.js("document.body.innerText.length")).to be < 100_000
      expect(stage).not_to be_too_wide
      expect_quiet
    end
    stage.visit("/open").see(/⟨U\+202E⟩right to left⟨U\+202C⟩/)
    stage.see(/new⟨U\+000A⟩line⟨U\+0009⟩and ⟨U\+0000⟩/)
    stage.see(/\\xFF\\xFEbytes/)
    stage.see(/k{300}\.\.\. \(999700 more characters\)/)
    stage.shot("hostile")
    stage.visit("/open", width: 360).updates(1)
    expect(stage).not_to be_too_wide
    stage.shot("hostile-phone")
  end

  it "stays quick with a thousand partitions, and changes what is there instead of making it anew" do
    topic = stage.topic(Array.new(2000) { |n| [n % 1000, "key #{n}", "x"] }, partitions: 1000)
    stage.consumer(topic) { sleep 0.01 }
    stage.visit.see(/in 1,000 partitions/)
    expect(stage.js("document.querySelectorAll('tr').length")).to be < 100
    stage.js("[...document.querySelectorAll('button.more')].find((one) => one.innerText.includes('1,000')).click()")
    stage.eventually { row("#{topic}/999\n") }
    rows = "[...document.querySelectorAll('.named')]"
    stage.js("#{rows}.forEach((one) => { one.old = true })")
    seconds = stage.seconds_an_update(3)
    warn "an update with 1,000 partitions: #{(seconds * 1000).round} ms of the browser's main thread" if ENV["FIGURES"]
    expect(seconds).to be < 0.5 # some 30 ms, on a machine with nothing else to do
    expect(stage.js("#{rows}.filter((one) => one.old).length")).to eq(1000)
    stage.page.at_css("input[type=search]").focus.type("/99")
    stage.eventually { stage.js("#{rows}.length") == 11 }
    stage.shot("thousand")
    expect_quiet
  end
end
