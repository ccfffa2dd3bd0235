# frozen_string_literal: true

require_relative "../support/kafka/suite"

# Each case: what librdkafka says of it alone, if anything, is forgotten; the consumer goes on beside it.
RSpec.describe "A consumer of whose topics or partitions nothing comes", watchdog: 120 do
  told = /Nothing comes in|Trouble is over/

  def troubles(member)
    (member.stats[:troubles] || {}).transform_values { |row| row[:error] }.transform_keys(&:to_s)
  end

  def await_troubles(member, expected)
    await_kafka(-> { "not #{expected}: #{member}" }) { troubles(member) == expected }
  end

  %i[cooperative consumer].each do |protocol|
    it "says so of a topic that is deleted beside another, and works on it when it is back (#{protocol})",
       kafka: :real do
      goes = kafka_topic
      stays = kafka_topic
      group = kafka_group(goes, stays)
      member = start_member("member", group, protocol: protocol)
      member.await_assignment(2)
      goes.produce(20, keys: 3)
      await_committed(group, goes)
      goes.delete
      await_troubles(member, goes.name => "unknown_topic_or_part")
      stays.produce(10, keys: 3)
      await_committed(group, stays)
      goes.create_again
      await_troubles(member, {})
      goes.produce(10, keys: 3)
      await_committed(group, goes)
      goes.delete
      await_troubles(member, goes.name => "unknown_topic_or_part")
      stop_members # in order: what is committed of a topic that is gone is not waited for

      expect(member.said(told)).to match([/Nothing comes in.*#{goes.name}/, /is over.*#{goes.name}/,
                                          /Nothing comes in.*#{goes.name}/])
    end
  end

  describe "on a broker of ../shared/kafka" do
    let(:topic) { kafka_topic }
    let(:other) { kafka_topic }
    let(:group) { kafka_group(topic, other) }

    # Where somebody else has a right, nobody has it who is not named.
    def forbid(topic)
      native = Rdkafka::Bindings
      rule = { resource_type: native::RD_KAFKA_RESOURCE_TOPIC, resource_name: topic.name, principal: "User:somebody",
               resource_pattern_type: native::RD_KAFKA_RESOURCE_PATTERN_LITERAL, host: "*",
               operation: native::RD_KAFKA_ACL_OPERATION_READ,
               permission_type: native::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW }
      admin = Rdkafka::Config.new("bootstrap.servers": kafka.servers).admin
      admin.create_acl(**rule).wait
      yield
      admin.delete_acl(**rule).wait
    ensure
      admin&.close
    end

    %i[cooperative consumer].each do |protocol|
      it "says so of a topic that may not be read from the start, and works on it when it may (#{protocol})",
         kafka: :cluster do
        topic.produce(10, keys: 3)
        member = nil
        forbid(topic) do
          member = start_member("member", group, protocol: protocol)
          await_troubles(member, topic.name => "topic_authorization_failed")
        end
        await_troubles(member, {})
        await_committed(group, topic)
        stop_members

        expect(member.said(told)).to match([/Nothing comes in.*#{topic.name}/, /is over.*#{topic.name}/])
      end
    end

    # Damages the last byte but one of a partition's log, and mends it.
    def damage(topic, partition)
      File.open(kafka.cluster.segment(topic.name, partition), "r+b") do |file|
        place = file.size - 2
        byte = file.pread(1, place)
        file.pwrite((byte.ord ^ 255).chr, place)
        yield
        file.pwrite(byte, place)
      end
    end

    it "says so of a partition with a damaged batch, once, and goes on when it is mended", kafka: :cluster do
      topic.produce(10, keys: 3)
      member = nil
      damage(topic, 0) do
        member = start_member("member", group, config: { "check.crcs": true })
        await_troubles(member, "#{topic.name}/0" => "bad_msg")
        await_kafka(-> { "not again: #{member}" }) { member.stats[:errors] > 3 }
        await_kafka(-> { "position beyond the damage: #{member}" }) do
          member.stats[:partitions].values.any? { |row| row.values_at(:position, :end, :lag) == [0, 10, 10] }
        end
      end
      await_committed(group, topic)
      await_troubles(member, {})
      stop_members

      expect(member.said(told)).to match([/Nothing comes in.*bad_msg/, /Trouble is over/])
    end

    # librdkafka's position goes on with each error, and from there it goes on when a partition was paused. (And with
    # check.crcs it may go back to the first offset, and repeat what comes before the damage.)
    it "works on all of a damaged batch when the partition was paused meanwhile", kafka: :cluster do
      produced = topic.produce(10, keys: 2)
      slow = kafka_topic(partitions: 4) # of which none holds so much that it would be paused alone
      group = kafka_group(topic, slow)
      member = start_member("member", group, config: { "check.crcs": true }, concurrency: 4, max_in_flight: 20,
                                             work: { sleep_ms: 60 })
      await_committed(group, topic)
      member.pause # it would have the messages before they are damaged
      produced += topic.produce(10, keys: 2)
      damage(topic, 0) do
        member.resume
        await_troubles(member, "#{topic.name}/0" => "bad_msg")
        slow.produce(400, keys: 4)
        await_kafka(-> { "not paused: #{member}" }) { member.stats[:paused].include?("#{topic.name}/0") }
      end
      [topic, slow].each { |one| await_committed(group, one) }
      stop_members

      finished = member.log.read.about(topic.name).attempts.select(&:ended)
      expect(produced.map(&:id) - finished.map(&:id)).to be_empty
    end
  end
end
