# frozen_string_literal: true

require "json"

RSpec.describe "work_shaper run" do
  def mock
    ConsumerHelpers::MockCluster.shared
  end

  def topic
    @topic ||= "topic-#{ConsumerHelpers::MockCluster.unique}".tap { |name| mock.create_topic(name, partitions: 1) }
  end

  # A file that makes consumers, one for each group; what they do with a message, `work` says.
  def consumers(*groups, work: "puts message.payload", options: "")
    file("consumers.rb", <<~RUBY)
      $stdout.sync = true
      #{groups.inspect}.each do |group|
        config = { "bootstrap.servers": ENV.fetch("BOOTSTRAP_SERVERS"), "group.id": group,
                   "session.timeout.ms": 10_000, "heartbeat.interval.ms": 100 }
        WorkShaper::Consumer.new(config: config, topics: #{topic.inspect}, #{options}) do |message|
          #{work}
        end
      end
    RUBY
  end

  def run(*arguments, **env)
    program("run", *arguments, "--brokers", mock.bootstrap_servers, env: { "LOG_LEVEL" => "warn", **env },
                                                                    chdir: in_directory)
  end

  def group(name)
    "#{name}-#{topic}"
  end

  it "runs all consumers that the file makes, and stops them on TERM with everything committed" do
    mock.produce_numbered(topic, 20)
    running = run(consumers(group("a"), group("b"), work: 'puts "did", message.payload', options: "signals: false"))
    running.wait_until("all of it, twice") { running.stdout.scan("did").size == 40 }
    running.signal(:TERM)

    expect([running.wait, running.stderr]).to eq([0, ""]), -> { running.to_s }
    %w[a b].each { |name| expect(mock.committed(group(name), topic)).to eq(0 => 20) }
  end

  it "is hurried by a second signal: what still runs is not waited for, and the status is 1" do
    mock.produce_numbered(topic, 1)
    running = run(consumers(group("a"), group("b"), work: 'puts "begins"; sleep'))
    running.wait_until("the work") { running.stdout.scan("begins").size == 2 }
    running.signal(:INT)
    running.signal(:TERM)

    expect(running.wait).to eq(1), -> { running.to_s }
    expect(running.stderr.scan(/^work_shaper: .*: not all that ran was finished and committed$/).size).to eq(2)
  end

  it "stops the others in order when one fails, and says why" do
    mock.produce_numbered(topic, 3)
    work = <<~RUBY
      sleep 0.01 until group.start_with?("a") || File.exist?("all")
      raise "disk is full" if group.start_with?("b") && message.offset == 2
      puts "\#{group} \#{message.offset}"
      File.write("all", "") if group.start_with?("a") && message.offset == 2
    RUBY
    options = 'attempts: 1, give_up: (group.start_with?("b") ? :stop : :skip)'
    running = run(consumers(group("a"), group("b"), work: work, options: options))

    expect(running.wait).to eq(1), -> { running.to_s }
    expect(running.stderr).to match(/^work_shaper: #{group("b")}: .*gave up .*disk is full.*WorkShaper::GaveUp/)
    expect(running.stderr).not_to include("#{group("a")}:")
    expect(mock.committed(group("a"), topic)).to eq(0 => 3)
    expect(mock.committed(group("b"), topic)).to eq(0 => 2)
  end

  it "lets the others finish what runs when one has failed, also when a signal comes then" do
    mock.produce_numbered(topic, 1)
    work = <<~RUBY
      File.write("begun", "") if group.start_with?("a")
      sleep 0.01 until File.exist?("begun")
      raise "disk is full" if group.start_with?("b")
      sleep 0.01 until File.exist?("go")
    RUBY
    running = run(consumers(group("a"), group("b"), work: work, options: "attempts: 1, give_up: :stop"))
    running.wait_until("the failure") { running.stderr.include?("disk is full") }
    running.signal(:TERM)
    running.signal(:TTIN) # is obeyed behind it
    running.wait_until("the backtraces") { running.stdout.include?("Backtrace") }
    file("go", "")

    expect(running.wait).to eq(1), -> { running.to_s }
    expect(running.stderr).not_to include("#{group("a")}:")
    expect(mock.committed(group("a"), topic)).to eq(0 => 1)
  end

  it "waits for no broker longer than a start may take" do
    running = program("run", consumers("a"), "--brokers", "127.0.0.1:9", env: { "LOG_LEVEL" => "fatal" })

    expect(running.wait).to eq(1)
    expect(running.stderr).to match(/\Awork_shaper: a: no broker answered at 127.0.0.1:9: .*WorkShaper::NoBroker\)\n\z/)
  end

  it "takes nothing more in on TSTP, and logs backtraces on TTIN" do
    running = run(consumers(group("a")), "LOG_LEVEL" => "info")
    running.wait_until("an assignment") { running.stdout.include?('"Assigned"') }
    running.signal(:TTIN)
    running.wait_until("the backtraces") { running.stdout.scan("Backtrace").size > 3 }
    running.signal(:TSTP)
    running.signal(:TTIN) # in its turn
    running.wait_until("more of them") { running.stdout.scan("Backtrace").size > 9 }
    mock.produce_numbered(topic, 1)
    running.signal(:TERM)

    expect([running.wait, running.stderr]).to eq([0, ""]), -> { running.to_s }
    expect(running.stdout).not_to match(/^0$/)
  end

  describe "--check" do
    it "says what it would run, and connects to nothing" do
      checked = program("run", consumers("a", "b"), "--check", "--brokers", "127.0.0.1:9")

      expect([checked.wait, checked.stderr]).to eq([0, ""])
      expect(checked.stdout).to match(/\A#{topic} as a at 127.0.0.1:9: classic .*, concurrency 25\n#{topic} as b.*\n/)
      expect(checked.stdout).to end_with("2 consumers, in order; nothing was connected\n")
    end

    it "says what is wrong in a consumer's settings, and where" do
      checked = program("run", consumers("a", options: "concurency: 3"), "--check", "--brokers", "127.0.0.1:9",
                        chdir: in_directory)

      expect([checked.wait, checked.stdout]).to eq([1, ""])
      expect(checked.stderr).to match(/\Awork_shaper: consumers.rb:5: .*concurency.*\(ArgumentError\)\n\z/)
    end
  end

  describe "a file that is no good" do
    it "has status 1 and a line that says what is wrong, and where" do
      cases = {
        "1\nraise IOError, 'no disk'\n" => /file.rb:2: no disk \(IOError\)/,
        "def x = raise('deep')\n\nx\n" => /file.rb:1: deep \(RuntimeError\)/,
        "1\n2\ndef (\n" => /file.rb:3: /,
        "require 'no/such/thing'\n" => %r{file.rb:1: cannot load such file -- no/such/thing},
        "1\n" => /file.rb makes no consumer; it is to call WorkShaper::Consumer.new/,
        "1\nexit\n" => %r{file.rb has ended the process \(5/file.rb:2\)},
        <<~RUBY => /file.rb:2: work_shaper run runs all consumers that are made/
          WorkShaper::Consumer.new(config: { "bootstrap.servers": "x:1", "group.id": "a" }, topics: "orders") { nil }
            .run
        RUBY
      }
      programs = cases.keys.each_with_index.map do |text, index|
        program("run", file("#{index}/file.rb", text), "--check", chdir: in_directory)
      end

      programs.zip(cases.values) do |failed, message|
        expect([failed.wait, failed.stdout]).to eq([1, ""]), -> { failed.to_s }
        expect(failed.stderr).to match(/\Awork_shaper: .*#{message}/)
        expect(failed.stderr).not_to include("lib/work_shaper")
      end
    end

    it "that is not there" do
      failed = work_shaper("run", "no-such-file.rb")

      expect([failed.status, failed.stderr]).to eq([1, "work_shaper: no-such-file.rb is not there, or no file\n"])
    end

    it "that aborts, says what it has to say, with its own status" do
      failed = program("run", file("file.rb", "abort 'TOPIC is not set'"))

      expect([failed.wait, failed.stderr]).to eq([1, "TOPIC is not set\n"])
    end
  end

  it "sets RACK_ENV and RAILS_ENV, and loads a Rails application before the file, unless it is told not to" do
    file("config/environment.rb", "puts ENV.values_at('RACK_ENV', 'RAILS_ENV').join(' ')\nORDER = [:rails]\n")
    text = "puts defined?(ORDER) ? ORDER : 'no Rails'\n"
    arguments = ["run", file("file.rb", text), "--check", "--env", "staging"]
    with, without = [[], ["--no-rails"]].map { |more| program(*arguments, *more, chdir: in_directory) }

    expect([with.wait, with.stdout]).to eq([1, "staging staging\nrails\n"])
    expect([without.wait, without.stdout]).to eq([1, "no Rails\n"])
  end

  it "says where an application that does not load is broken" do
    file("config/environment.rb", "\nraise 'no database'\n")
    failed = program("run", file("file.rb", ""), chdir: in_directory)

    expect([failed.wait, failed.stderr])
      .to eq([1, "work_shaper: config/environment.rb:2: no database (RuntimeError)\n"])
  end
end
