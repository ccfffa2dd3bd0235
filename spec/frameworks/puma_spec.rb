# frozen_string_literal: true

require "spec_helper"
require "json"
require "tmpdir"
require_relative "run"

# The recipes of docs/rails.md, as they stand there.
RSpec.describe "A consumer inside Puma", watchdog: 300 do
  # Signals go to the master only.
  let(:program) do
    Class.new(Frameworks::Run) do
      def signal(name)
        Process.kill(name, @pid)
      end

      attr_reader :pid
    end
  end
  let(:topic) { "orders-#{ConsumerHelpers::MockCluster.unique}" }
  let(:mock) { ConsumerHelpers::MockCluster.shared }
  let(:directory) { Dir.mktmpdir }
  let(:produced) { [] }

  before { mock.create_topic(topic, partitions: 4) }

  after do
    @puma&.close
    FileUtils.rm_r(directory)
  end

  def recipe(about)
    text = File.read(File.join(Program::ROOT, "docs", "rails.md"))
    text[%r{^```ruby\n(# config/puma\.rb, #{about}.*?)^```}m, 1] || raise("docs/rails.md has no recipe #{about}")
  end

  def start(recipe, **config)
    files = { "config/puma.rb" => recipe, "config/environment.rb" => environment(config),
              "config.ru" => "require_relative 'config/environment'\nrun ->(_) { [200, {}, ['ok']] }\n" }
    files.each do |name, text|
      path = File.join(directory, name)
      FileUtils.mkdir_p(File.dirname(path))
      File.write(path, text)
    end
    @puma = program.new(Frameworks::Framework.new("puma").install, "puma", "--dir", directory,
                        "--config", File.join(directory, "config", "puma.rb"), "--bind", "unix://#{directory}/socket",
                        limit: 60)
  end

  def environment(more)
    config = { "bootstrap.servers": mock.bootstrap_servers, "group.id": topic, "session.timeout.ms": "2000",
               "heartbeat.interval.ms": "100", **more }
    File.read(File.join(__dir__, "puma_environment.rb")).sub("CONFIG", config.inspect).sub("TOPIC", topic.inspect)
  end

  def lines(kind)
    @puma.stdout.scan(/^#{kind} (\d+) (\S+)$/)
  end

  # Each once: on a busy machine a member may lose its session, and the next one repeats something.
  def worked
    lines("worked").map(&:last).uniq
  end

  def pids_of_started
    lines("started").map { |pid, _| Integer(pid) }
  end

  def work_on(count)
    more = Array.new(count) { |number| (produced.size + number).to_s }
    produced.concat(more)
    mock.produce(topic, more.map { |payload| [payload.to_i % 4, payload, payload] })
    @puma.wait_until("#{produced.size} messages") { worked.size >= produced.size }
  end

  def committed
    mock.committed(topic, topic, partitions: 4).values.sum(&:to_i)
  end

  # While members stop one right after the other, the group is in a rebalance, and a commit may have to wait too long.
  def all_committed
    @puma.wait_until("#{produced.size} committed") { committed == produced.size }
  end

  # All was done and committed, and every consumer that had started has stopped.
  def expect_end(signal)
    @puma.signal(signal)
    expect(@puma.wait).to eq(0).or(eq(Signal.list.fetch("TERM"))), -> { @puma.to_s }
    expect(worked.sort).to eq(produced.sort)
    expect(committed).to eq(produced.size), -> { @puma.to_s }
    expect(lines("stopped").map(&:first).sort).to eq(pids_of_started.map(&:to_s).sort), -> { @puma.to_s }
  end

  # Only a stop commits.
  it "runs beside requests in single mode, is restarted and stopped with it" do
    start(recipe("without workers"), "auto.commit.interval.ms": "600000", "session.timeout.ms": "10000")
    work_on(20)
    @puma.signal(:USR2)
    @puma.wait_until("a restart") { pids_of_started.size == 2 }
    work_on(20)
    expect(pids_of_started).to eq([@puma.pid] * 2)
    expect_end(:TERM)
    expect(lines("worked").size).to eq(40)
    expect(lines("stopped").map(&:last)).to eq(%w[true true])
  end

  it "runs in each worker in cluster mode, and not in the master" do
    start(recipe("with workers"))
    @puma.wait_until("two members") { pids_of_started.size == 2 }
    work_on(40)
    expect(pids_of_started.uniq - [@puma.pid]).to eq(pids_of_started)
    all_committed
    expect_end(:TERM)
  end

  it "moves to the new workers in a phased restart" do
    start(recipe("with workers").sub(/^preload_app!/, "preload_app!(false)"))
    @puma.wait_until("two members") { pids_of_started.size == 2 }
    work_on(20)
    all_committed
    @puma.signal(:USR1)
    @puma.wait_until("two more members") { pids_of_started.uniq.size == 4 && lines("stopped").size == 2 }
    work_on(20)
    all_committed
    expect_end(:INT)
  end
end
