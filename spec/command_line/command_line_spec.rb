# frozen_string_literal: true

RSpec.describe "The command work_shaper" do
  names = %w[run lag inspect replay reset skip]

  it "says what there is, with status 0 when it is asked for" do
    called = [%w[--help], %w[-h], %w[help]].map { |arguments| work_shaper(*arguments) }

    expect(called.map(&:status)).to eq([0, 0, 0])
    expect(called.map(&:stdout).uniq.size).to eq(1)
    expect(called.first.stdout.scan(/^    (\w+) +\w/).flatten).to eq(names)
    expect(work_shaper).to have_attributes(status: 2, stdout: called.first.stdout)
    expect(work_shaper("--version").stdout).to eq("work_shaper #{WorkShaper::VERSION}\n")
  end

  names.each do |name|
    it "teaches #{name}: what it takes, and examples" do
      called = work_shaper(name, "--help")

      expect(called).to have_attributes(status: 0, stderr: "")
      expect(called.stdout).to match(/\AUsage: work_shaper #{name} [A-Z].*^Examples:\n    .*work_shaper #{name} /m)
      expect(called.stdout.lines.map(&:length)).to all(be <= 120)
      expect(work_shaper("help", name)).to eq(called)
    end
  end

  {
    %w[lags] => "invalid argument: lags: there is no such command; lag?",
    %w[help lags] => "invalid argument: lags: there is no such command; lag?",
    ["x\e[2J"] => 'invalid argument: x\e[2J: there is no such command',
    %w[lag] => "missing argument: GROUP",
    %w[lag orders more] => "needless argument: more",
    %w[lag orders --jsn] => "invalid option: --jsn\nDid you mean?  json",
    %w[lag orders] => "missing argument: --brokers HOST:PORT (or set BOOTSTRAP_SERVERS)",
    ["lag", ""] => "invalid argument: GROUP is empty",
    %w[reset orders orders/0] => "missing argument: OFFSET",
    %w[reset orders orders/0 12x] => "invalid argument: 12x: OFFSET must be a number, earliest or latest",
    %w[skip orders orders/0 latest] => "invalid argument: latest: OFFSET must be a number",
    %w[skip orders orders/0 99999999999999999999] =>
      "invalid argument: 99999999999999999999: OFFSET must be a number",
    %w[replay dead --partitioner md5] => "invalid argument: --partitioner md5",
    %w[inspect localhost:9292] => "invalid argument: localhost:9292: it must begin with http:// or https://",
    ["inspect", "http://a b"] => "invalid argument: http://a b: it is no URL, such as http://localhost:9292",
    %w[skip orders orders/0 12] => "missing argument: --yes: there is no terminal to ask on"
  }.each do |arguments, message|
    it "refuses #{arguments.inspect} with status 2, and says where to look" do
      called = work_shaper(*arguments)

      expect(called.stdout).to eq("")
      expect(called.stderr).to match(/\Awork_shaper: #{Regexp.escape(message)}\nTry: work_shaper help( \w+)?\n\z/)
      expect(called.status).to eq(2)
    end
  end

  ["orders", "orders-0", "orders/", "/0", "orders/x", "orders/-1", "a/b/0", "orders/0\n", "orders /0",
   "orders/99999999999"].each do |place|
    it "takes no #{place.inspect} for a partition" do
      called = work_shaper("reset", "group", place, "0", "--yes", servers: "127.0.0.1:9")

      expect(called.status).to eq(2)
      expect(called.stderr).to include("it must be TOPIC/PARTITION, such as orders/0")
    end
  end

  [%w[lag orders], %w[replay orders-dead], %w[reset orders orders/0 1 --yes],
   %w[skip orders orders/0 1 --yes]].each do |arguments|
    it "says in #{arguments.first}, soon, that no broker answers" do
      called = work_shaper(*arguments, servers: "127.0.0.1:9")

      expect([called.status, called.stdout]).to eq([1, ""])
      expect(called.stderr).to match(/\Awork_shaper: no broker answered at 127.0.0.1:9: .*refused.*\n\z/)
    end
  end

  describe "--config" do
    it "takes more of librdkafka's settings from a file, where the brokers may be, too" do
      path = file("kafka.properties", "# ours\n\nbootstrap.servers = 127.0.0.1:9\nclient.id=operator\n")
      expect(work_shaper("lag", "orders", "--config", path).stderr).to include("no broker answered at 127.0.0.1:9")
    end

    {
      "a setting that librdkafka does not know" => ["sasl.pasword=secret", /No such configuration property: "sasl.pa/],
      "a line that is no setting, without showing it" => ["topsecret", /kafka.properties: a line is not name=value$/]
    }.each do |what, (text, message)|
      it "refuses #{what}" do
        called = work_shaper("lag", "orders", "--config", file("kafka.properties", text), servers: "127.0.0.1:9")
        expect([called.status, called.stderr]).to match([1, message])
        expect(called.stderr).not_to match(/secret$|topsecret/)
      end
    end

    it "says that the file is not there" do
      called = work_shaper("lag", "orders", "--config", "/no/such/file", servers: "127.0.0.1:9")
      expect(called.stderr).to include("--config /no/such/file: No such file")
    end
  end

  it "says what to add where there is no rdkafka, and does without where it is not needed" do
    bare = ["-I", File.join(Program::ROOT, "lib"), CommandHelpers::EXECUTABLE]
    programs = [%w[lag orders --brokers x:1], %w[run x.rb], %w[help replay]].map do |arguments|
      Program.new(RbConfig.ruby, "--disable-gems", *bare, *arguments, env: CommandHelpers::RAW)
    end

    expect(programs.map(&:wait)).to eq([1, 1, 0])
    expect(programs.first(2).map(&:stderr))
      .to all(match(/\Awork_shaper: work_shaper.consumer needs the rdkafka gem, .*bundle add rdkafka\n\z/))
    programs.each(&:close)
  end

  it "ends quietly when nobody reads on" do
    reader, writer = IO.pipe
    reader.close
    status = WorkShaper.const_get(:CommandLine).start(%w[lag --help], output: writer)
    expect(status).to eq(0)
  end

  describe "what it prints" do
    let(:text) { WorkShaper.const_get(:CommandLine)::Text }

    it "cannot move the cursor or hide, whatever the bytes" do
      {
        "a\e[2Jb" => 'a\e[2Jb', "a\r\nb" => 'a\r\nb', "\u202Ea" => '\u202Ea', "gr\u00F6\u00DFe" => "gr\u00F6\u00DFe",
        "\xFF\x00".b => "\uFFFD\\x00", "\u00E4".encode(Encoding::UTF_16LE) => "\u00E4", nil => "", :a => "a"
      }.each { |given, shown| expect(text.shown(given)).to eq(shown) }
    end

    it "has its columns side by side, numbers to the right, and a dash for what is not known" do
      expect(text.table([%w[name count], ["a", 12_345], ["long", nil], ["x\n", 1]]))
        .to eq(["name   count", "a     12,345", "long       -", 'x\n        1'])
    end
  end
end
