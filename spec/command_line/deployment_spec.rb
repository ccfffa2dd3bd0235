# frozen_string_literal: true

require "json"
require "net/http"
require "yaml"

# The files of examples/deployment, as far as they can be tried without Docker, Kubernetes and systemd.
RSpec.describe "examples/deployment" do
  let(:directory) { File.join(Program::ROOT, "examples", "deployment") }
  let(:pod) { YAML.load_file(File.join(directory, "kubernetes.yaml")).dig("spec", "template", "spec") }
  let(:container) { pod.fetch("containers").first }
  let(:dockerfile) { File.read(File.join(directory, "Dockerfile")) }
  let(:mock) { ConsumerHelpers::MockCluster.shared }
  let(:topic) { "topic-#{ConsumerHelpers::MockCluster.unique}" }
  let(:port) { TCPServer.open("127.0.0.1", 0) { |server| server.local_address.ip_port } }

  def consumers
    file("config/work_shaper.rb", <<~RUBY)
      config = { "bootstrap.servers": ENV.fetch("BOOTSTRAP_SERVERS"), "group.id": "group-#{topic}",
                 "group.instance.id": ENV.fetch("GROUP_INSTANCE_ID"), "session.timeout.ms": 10_000 }
      WorkShaper::Consumer.new(config: config, topics: "#{topic}") { |message| message }
    RUBY
  end

  # What the manifest gives the container, at other addresses.
  def environment
    container.fetch("env").to_h { |variable| [variable["name"], variable["value"] || "orders-0"] }
             .transform_values { |value| value.sub("9394", port.to_s) }
             .merge("BOOTSTRAP_SERVERS" => mock.bootstrap_servers)
  end

  def answer(probe)
    get = container.fetch(probe).fetch("httpGet")
    expect(get["port"]).to eq(container["ports"].first["name"])
    Net::HTTP.get_response(URI("http://127.0.0.1:#{port}#{get["path"]}")).code
  rescue SystemCallError
    nil
  end

  def health
    check = dockerfile.gsub("\\\n", "")[/^HEALTHCHECK .*? CMD (\[.*\])$/, 1].gsub("9394", port.to_s)
    program, *arguments = JSON.parse(check)
    expect(program).to eq("ruby")
    system(CommandHelpers::RAW, RbConfig.ruby, *arguments, err: File::NULL)
  end

  it "gives it the time to stop" do
    unit = File.read(File.join(directory, "orders.service"))
    limits = [pod["terminationGracePeriodSeconds"], unit[/^TimeoutStopSec=(\d+)$/, 1].to_i,
              dockerfile[/docker stop --time (\d+)/, 1].to_i]
    expect(limits).to all(be >= 25 + 20)
  end

  it "has probes that the container answers" do
    expect(container["ports"].first["containerPort"]).to eq(9394)
    mock.create_topic(topic, partitions: 1)
    mock.produce_numbered(topic, 3)
    command = JSON.parse(dockerfile[/^CMD (\[.*\])$/, 1])
    expect(command.first(3)).to eq(%w[bundle exec work_shaper])
    consumers
    running = program(*command.drop(3), env: { "LOG_LEVEL" => "warn", **environment }, chdir: in_directory)
    running.wait_until("ready") { answer("readinessProbe") == "200" }
    expect([answer("startupProbe"), answer("livenessProbe"), health]).to eq(["200", "200", true])
    running.signal(:TERM)
    expect([running.wait, running.stderr]).to eq([0, ""]), -> { running.to_s }
    expect(health).to be(false)
  end

  it "has a unit that systemd accepts" do
    unit = File.join(directory, "orders.service")
    expect(File.read(unit)).to include("Type=notify", "work_shaper run config/work_shaper.rb")
    skip "there is no systemd-analyze" unless system("systemd-analyze", "--version", out: File::NULL, err: File::NULL)
    complaints = IO.popen(["systemd-analyze", "verify", unit, { err: %i[child out] }], &:read)
    expect(complaints.lines.grep(/orders\.service/)).to be_empty, complaints
  end
end
