# frozen_string_literal: true

module WorkShaper
  class Consumer
    # The partitions that the application has paused, until it resumes them, whether they are ours or not.
    #
    # @private
    class Pauses
      # @return [Hash{String => Array(String, Integer)}] topic and partition by name; replaced with each change
      attr_reader :all

      def initialize
        @all = {}.freeze
        @lock = Mutex.new
      end

      def add(topic, partition)
        place = check(topic, partition)
        @lock.synchronize { @all = @all.merge(Assignment.name_of(*place) => place).freeze }
      end

      def remove(topic, partition)
        name = Assignment.name_of(*check(topic, partition))
        @lock.synchronize { @all = @all.except(name).freeze }
      end

      private

      def check(topic, partition)
        refuse(topic, "topic", "a topic's name, a String", String) unless topic.is_a?(String) && !topic.empty?
        unless partition.is_a?(Integer) && partition >= 0
          refuse(partition, "partition", "a partition's number, an Integer from 0 on", Integer)
        end
        [topic.dup.freeze, partition].freeze
      end

      def refuse(...)
        RetryPolicy::Numbers.refuse(...)
      end
    end

    private_constant :Pauses
  end
end
