# frozen_string_literal: true

require "rdkafka"

module ConsumerHelpers
  # What librdkafka asks for: see Rebalance::Change. What the block does carries it out.
  FakeChange = Struct.new(:topic_partitions, :coming, :replacing, :lost, :block, :done) do
    alias_method :coming?, :coming
    alias_method :replacing?, :replacing
    alias_method :lost?, :lost
    alias_method :done?, :done
    alias_method :carried_out?, :done

    def incremental?
      !replacing
    end

    def list
      @list ||= Rdkafka::Consumer::TopicPartitionList.new.tap do |list|
        topic_partitions.group_by(&:first).each { |topic, pairs| list.add_topic(topic, pairs.map(&:last)) }
      end.freeze
    end

    def carry_out(offsets = {})
      raise "carried out twice" if done

      block.call(offsets)
      self.done = true
      nil
    end
  end
end
