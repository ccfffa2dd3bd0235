# frozen_string_literal: true

module WorkShaper
  class Consumer
    # A question about one group, or a change of it, from outside of it.
    #
    # @private
    class GroupRequest < Request
      # @param group [String]
      def initialize(guard, limit, group)
        @group = group
        super(guard, limit)
      end

      private

      # Calls one of librdkafka's functions that take an array, here of one: the client, the array, its size, and more.
      def ask(name, inner, pointer, options, queue)
        function = FFI::Function.new(:void, %i[pointer pointer size_t pointer pointer], Client.find("rd_kafka_#{name}"),
                                     blocking: true)
        function.call(inner, FFI::MemoryPointer.new(:pointer).write_pointer(pointer), 1, options, queue)
      end

      # What an event has as an array, pointers to each.
      def results(event, name, what)
        entries, size = array("#{name}_result_#{what}", call(:pointer, "event_#{name}_result", event))
        entries.read_array_of_pointer(size)
      end

      # @raise [Rdkafka::RdkafkaError] there is an error
      def check(error)
        code = error.null? ? 0 : call(:int, "error_code", error)
        raise Rdkafka::RdkafkaError.new(code, call(:string, "error_string", error)) unless code.zero?
      end

      def text(...)
        call(:string, ...)&.dup&.force_encoding(Encoding::UTF_8)
      end
    end

    # Asks who the members of a group are. Of a group of the new protocol (KIP-848) older versions of librdkafka get no
    # description: to them it is not there.
    #
    # @private
    class MembersRequest < GroupRequest
      # A member of a group: what it calls itself, and its partitions.
      Member = Struct.new(:id, :client, :host, :partitions)

      private

      def submit(inner, options, queue)
        ask("DescribeConsumerGroups", inner, FFI::MemoryPointer.from_string(@group), options, queue)
      end

      def result(event)
        group = results(event, "DescribeConsumerGroups", "groups").first
        check(call(:pointer, "ConsumerGroupDescription_error", group))
        count = FFI::Function.new(:size_t, [:pointer], Client.find("rd_kafka_ConsumerGroupDescription_member_count"))
        member = FFI::Function.new(:pointer, %i[pointer size_t],
                                   Client.find("rd_kafka_ConsumerGroupDescription_member"))
        Array.new(count.call(group)) { |index| read(member.call(group, index)) }
      end

      def read(member)
        id, client, host = %w[consumer_id client_id host].map { |name| text("MemberDescription_#{name}", member) }
        assignment = call(:pointer, "MemberDescription_assignment", member)
        Member.new(id, client, host, OffsetList.places(call(:pointer, "MemberAssignment_partitions", assignment)))
      end
    end

    # Asks in which state a group is: "Empty" when it has no members.
    #
    # @private
    class GroupStateRequest < GroupRequest
      NONE = "Dead" # there is none of that name

      private

      def submit(inner, options, queue)
        call(:void, "ListConsumerGroups", inner, options, queue)
      end

      def result(event)
        listed = results(event, "ListConsumerGroups", "valid").find do |group|
          text("ConsumerGroupListing_group_id", group) == @group
        end
        return text("consumer_group_state_name", call(:int, "ConsumerGroupListing_state", listed)) if listed

        refuse(event)
        NONE
      end

      # What one of the brokers has not told may be just that group.
      def refuse(event)
        results(event, "ListConsumerGroups", "errors").each { |error| check(error) }
      end
    end

    # Asks for all that a group has committed.
    #
    # @private
    class CommittedRequest < GroupRequest
      private

      def submit(inner, options, queue)
        question = call(:pointer, "ListConsumerGroupOffsets_new", FFI::MemoryPointer.from_string(@group), nil)
        ask("ListConsumerGroupOffsets", inner, question, options, queue)
      ensure
        call(:void, "ListConsumerGroupOffsets_destroy", question) if question
      end

      # By topic and partition, as {OffsetList.read}.
      def result(event)
        group = results(event, "ListConsumerGroupOffsets", "groups").first
        check(call(:pointer, "group_result_error", group))
        OffsetList.read(call(:pointer, "group_result_partitions", group))
      end
    end

    # Has a group without members go on from other offsets. Brokers refuse it to a group that has members.
    #
    # @private
    class CommitRequest < GroupRequest
      # @param rows [Hash{Array(String, Integer) => OffsetList::Committed}]
      def initialize(guard, limit, group, rows)
        @rows = rows
        super(guard, limit, group)
      end

      private

      def submit(inner, options, queue)
        OffsetList.with(@rows) do |native|
          change = call(:pointer, "AlterConsumerGroupOffsets_new", FFI::MemoryPointer.from_string(@group), native)
          ask("AlterConsumerGroupOffsets", inner, change, options, queue)
        ensure
          call(:void, "AlterConsumerGroupOffsets_destroy", change) if change
        end
      end

      def result(event)
        group = results(event, "AlterConsumerGroupOffsets", "groups").first
        check(call(:pointer, "group_result_error", group))
        OffsetList.each(call(:pointer, "group_result_partitions", group)) do |_place, _offset, code|
          raise Rdkafka::RdkafkaError, code unless code.zero?
        end
        true
      end
    end

    private_constant :GroupRequest
    private_constant :MembersRequest
    private_constant :GroupStateRequest
    private_constant :CommittedRequest
    private_constant :CommitRequest
  end
end
