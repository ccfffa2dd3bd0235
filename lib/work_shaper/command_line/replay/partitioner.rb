# frozen_string_literal: true

module WorkShaper
  module CommandLine
    class Replay
      # Which partition a key belongs to. Kafka does not know; it is up to who writes a topic, and must be the same for
      # all who do: otherwise two messages of a key are in two partitions, and run at the same time.
      #
      # @private
      class Partitioner
        # Those of PARTITIONERS as librdkafka's functions, for keys that are there.
        FUNCTIONS = PARTITIONERS.to_h { |name| [name, name.delete_suffix("_random")] }.freeze

        PARAMETERS = %i[pointer pointer size_t int32 pointer pointer].freeze

        # @return [String] librdkafka's name
        attr_reader :name

        # @param name [String, nil] nil: the default, as long as the letters agree
        def initialize(name)
          @name = name || PARTITIONERS.first
          @given = !name.nil?
          @functions = {}
        end

        # Looks whether the keys of letters belong where the messages were.
        #
        # @param letters [Array<Letter>] those that go back to their topic
        # @yieldparam topic [String]
        # @yieldreturn [Integer] how many partitions it has
        # @raise [Error]
        def check(letters, &count)
          return if @given

          keyed = letters.select { |letter| letter.partition && !letter.message.key.to_s.empty? }
          wrong = keyed.reject { |letter| belongs?(name, letter, &count) }
          return if wrong.empty?

          fitting = PARTITIONERS.find { |other| keyed.all? { |letter| belongs?(other, letter, &count) } }
          raise Error, text(wrong.first, wrong.size, keyed.size, fitting, &count)
        end

        private

        def belongs?(name, letter)
          partition(name, letter.message.key, yield(letter.origin)) == letter.partition
        end

        def partition(name, key, count)
          memory = FFI::MemoryPointer.new(:char, key.bytesize).put_bytes(0, key)
          function(name).call(nil, memory, key.bytesize, count, nil, nil)
        end

        def function(name)
          @functions[name] ||= begin
            address = Consumer.const_get(:Client).find("rd_kafka_msg_partitioner_#{FUNCTIONS.fetch(name)}")
            FFI::Function.new(:int32, PARAMETERS, address)
          end
        end

        def text(letter, wrong, keyed, fitting)
          why = fitting ? "#{fitting} fits all of them" : "or partitions were added to it"
          other = partition(name, letter.message.key, yield(letter.origin))
          "#{letter} was in partition #{letter.partition} of #{letter.origin}, and #{name} would put it into " \
            "#{other} (so it is with #{wrong} of #{keyed} letters): another partitioner writes that topic, #{why}. " \
            "Say which: --partitioner #{fitting || "NAME"}"
        end
      end

      private_constant :Partitioner
    end
  end
end
