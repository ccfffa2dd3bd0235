# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "in a group without a commit" do
  let(:topic) { mock_topic(partitions: 2) }

  # Payloads that a consumer has worked on when it has all of the last ones; it is stopped then.
  def worked(config, *last)
    done = []
    consumer = mock_consumer(topic, config: config) { |message| done << message.payload }
    start(consumer)
    eventually(-> { "only #{done}" }) { (last - done).empty? }
    expect(stop(consumer)).to be(true)
    done
  end

  def assigned(config)
    mock_consumer(topic, config: config).tap do |consumer|
      start(consumer)
      eventually("nothing was assigned") { consumer.stats[:assignment]&.size == 2 }
    end
  end

  it "begins with the first message, unless told otherwise" do
    mock.produce(topic, [[0, "a", "0"], [1, "b", "1"]])
    expect(worked({}, "0", "1")).to contain_exactly("0", "1")
  end

  %w[latest end].each do |reset|
    it "commits the end of each partition at once with auto.offset.reset #{reset}" do
      mock.produce(topic, [[0, "a", "old"], [0, "a", "old"], [1, "b", "old"]])
      consumer = assigned("auto.offset.reset": reset)
      eventually { mock.committed(group, topic, partitions: 2) == { 0 => 2, 1 => 1 } }
      expect(stop(consumer)).to be(true)
      mock.produce(topic, [[0, "a", "new 0"], [1, "b", "new 1"]])
      expect(worked({ "auto.offset.reset": reset }, "new 0", "new 1")).to contain_exactly("new 0", "new 1")
    end
  end

  it "leaves what is committed alone with auto.offset.reset latest" do
    mock.produce(topic, [[0, "a", "0"], [1, "b", "1"]])
    expect(worked({}, "0", "1").size).to eq(2)
    mock.produce(topic, [[0, "a", "2"]])
    expect(worked({ "auto.offset.reset": "latest" }, "2")).to eq(["2"])
  end

  it "ends with the error with auto.offset.reset error" do
    consumer = mock_consumer(topic, config: { "auto.offset.reset": "error" })
    start(consumer)
    expect(failure_of(consumer)).to be_a(Rdkafka::RdkafkaError).and have_attributes(code: :auto_offset_reset)
  end
end
