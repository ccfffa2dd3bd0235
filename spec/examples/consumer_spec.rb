# frozen_string_literal: true

require "spec_helper"
require "tmpdir"
require_relative "../support/kafka/suite"

RSpec.describe "examples/consumer.rb", :kafka do
  source = File.join(KafkaSupport::ChildProcess::ROOT, "examples", "consumer.rb")

  let(:topic) { kafka_topic(partitions: 3) }
  let(:group) { kafka_group(topic) }
  let(:directory) { Dir.mktmpdir("work_shaper-example") }

  after do
    Process.kill(:KILL, @pid) if @waiter&.alive?
    @waiter&.join
    FileUtils.rm_rf(directory)
  end

  define_method(:start) do |**env|
    @pid = Process.spawn(
      KafkaSupport::ChildProcess::ENVIRONMENT.merge(env.transform_keys(&:to_s)),
      RbConfig.ruby, *KafkaSupport::ChildProcess.load_path, source,
      in: File::NULL, out: said(:out), err: said(:err), pgroup: true
    )
    @waiter = Process.detach(@pid)
  end

  def said(stream)
    File.join(directory, stream.to_s)
  end

  # Partition, offset and key of each message that was worked on; the log is JSON.
  def worked_on
    File.read(said(:out)).scan(/^(\d+) (\d+) (key-\d+) \d+$/).map { |row| [row[0].to_i, row[1].to_i, row[2]] }
  end

  def stop(signal)
    Process.kill(signal, @pid)
    @waiter.join(30) or raise "it did not end:\n#{File.read(said(:out))}"
    [@waiter.value.exitstatus, File.read(said(:err))]
  end

  %i[TERM INT].each do |signal|
    it "works on every message, in order per key, and ends on #{signal} with all of it committed" do
      topic.produce(500, keys: 60)
      start(BOOTSTRAP_SERVERS: group.servers, TOPIC: topic.name, GROUP_ID: group.name)
      await_kafka(-> { "#{worked_on.size} of 500 messages" }) { worked_on.size >= 500 || !@waiter.alive? }

      expect(stop(signal)).to eq([0, ""])
      expect(worked_on.uniq.size).to eq(500)
      expect(worked_on.size).to eq(500)
      worked_on.group_by(&:last).each_value { |rows| expect(rows).to eq(rows.sort) }
      expect(group.committed).to eq(topic.high_watermarks.transform_keys { |number| "#{topic.name}/#{number}" })
    end
  end

  it "says that TOPIC is not set" do
    start(BOOTSTRAP_SERVERS: "127.0.0.1:9", TOPIC: nil)
    @waiter.join(30)

    expect([@waiter.value.exitstatus, File.read(said(:err))]).to eq([1, "TOPIC is not set\n"])
  end
end
