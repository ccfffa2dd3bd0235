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
        refuse("topic", topic, String, "a topic's name, a String") { !topic.empty? }
        refuse("partition", partition, Integer, "a partition's number, an Integer from 0 on") { partition >= 0 }
        [topic.dup.freeze, partition].freeze
      end

      def refuse(name, value, kind, accepted)
        return if value.is_a?(kind) && yield

        raise value.is_a?(kind) ? ArgumentError : TypeError, "#{name} is #{value.inspect}; it must be #{accepted}"
      end
    end

    private_constant :Pauses
  end
end
