# frozen_string_literal: true

require_relative "../clock"
require_relative "../errors"
require_relative "../safe_log"
require_relative "../trace_headers"

module WorkShaper
  class Consumer
    # Sends messages whose work failed to another topic, and says of each whether a broker has confirmed it. Nobody
    # waits for that: one thread sends them and looks after those that are under way, thousands if need be. Whoever is
    # told that a letter failed may deliver it again.
    #
    # Each letter that is delivered is answered once. None is lost when the thread is killed; another one takes over.
    #
    # @private
    class DeadLetters
      include Clock

      NAME = "work_shaper dead letters"
      PAUSE = 0.01 # seconds between two looks at those under way; with none, the thread waits for the next one
      TOO_LARGE = %i[msg_size_too_large record_list_too_large].freeze

      # A failure under way: which variant of it was sent with what and where, and what came of it.
      Entry = Struct.new(:failure, :topic, :size, :client, :partition, :anywhere, :dated_now, :handle, :sent_at,
                         :answered)

      # @param config [Hash{String => String}] librdkafka's settings of the consumer
      # @param producer [#produce_async, #produce, nil] one that answers as WaterDrop's or the rdkafka gem's do; it is
      #   not closed. nil: one is made of the config, see {Producer}
      # @param headers [#call(failure), nil] gives a Hash of headers in the place of ours; names and values are made
      #   Strings, an Array gives several headers of one name. If it raises, sending has failed
      # @param oauth_token [#call, nil] see {OauthToken}
      # @yieldparam failure [Object] what was delivered
      # @yieldparam error [Exception, nil] why it could not be sent; nil: a broker has confirmed it. The block is called
      #   on the thread that sends, so it must be quick
      # @raise [ArgumentError, TypeError] an argument is missing or of no use
      def initialize(config:, producer: nil, headers: nil, oauth_token: nil, &answer)
        raise ArgumentError, "no block given; it is told what became of each letter" unless answer
        unless headers.nil? || headers.respond_to?(:call)
          raise TypeError, "headers is #{headers.inspect}; it must answer call, with a failure"
        end

        @producer = Producer.new(config, producer, oauth_token)
        @group = config["group.id"]
        @headers = headers
        @answer = answer
        @queue = Thread::Queue.new
        @under_way = []
        @lock = Mutex.new
        @closed = false
        @pid = Process.pid
      end

      # Sends it. Returns at once; the block is told what came of it, unless they are closed before.
      #
      # @param failure [#message, #error, #attempts]
      # @param topic [String]
      # @return [nil]
      # @raise [ForkedProcess] called in a forked child
      # @raise [ThreadError] no thread could be started
      def deliver(failure, topic)
        raise ForkedProcess, "the dead letters belong to the parent process; make them after forking" if forked?

        start unless @thread&.alive?
        @queue << Entry.new(failure, topic, Letter::SIZES.first)
        nil
      rescue ClosedQueueError
        raise Error, "the dead letters are closed"
      end

      # Ends it, within so many seconds or so. What is not confirmed by then is dropped, and nothing is answered
      # afterwards; it is up to the caller to wait for answers before.
      #
      # @param seconds [Numeric]
      # @return [Array] the failures that were delivered and not answered
      def close(seconds)
        return [] if forked?

        limit = now + seconds
        @lock.synchronize { @closed = true }
        @queue.close
        end_thread(seconds)
        @producer.close([limit - now, 0].max)
        left
      end

      # Without its state, which holds passwords.
      def inspect
        "#<#{self.class}>"
      end

      private

      def forked?
        @pid != Process.pid
      end

      def start
        @lock.synchronize { start_thread unless @closed || @thread&.alive? }
      end

      def start_thread
        @thread = OwnThread.start(NAME, method(:replace)) { turn until @closed }
      end

      # Somebody has ended the thread; what it had under way is not lost.
      def replace
        @lock.synchronize { start_thread unless @closed }
      rescue ThreadError
        nil # the process ends, or has too many threads: the next delivery tries again
      end

      # What was delivered and not answered.
      def left
        entries = @under_way.reject(&:answered)
        entries << @queue.pop(true) until @queue.empty?
        entries.map(&:failure)
      end

      def end_thread(seconds)
        return if @thread.nil? || @thread == Thread.current

        @thread.kill unless @thread.join(seconds)
      end

      # One turn of the thread. What it has not come to when they are closed is left.
      def turn
        take_new
        @under_way.reject! { |entry| !@closed && over?(entry) }
        sleep(PAUSE) if @under_way.any? && !@closed
      end

      # Waits for the first when nothing is under way. An exception or a kill from outside may end that wait, but not
      # come between the queue and the list.
      def take_new
        Thread.handle_interrupt(Object => :on_blocking) do
          while @under_way.empty? || !@queue.empty?
            entry = @queue.pop
            break unless entry # closed

            @under_way << entry
          end
        end
      end

      # Takes a letter one step further, and returns whether it has been answered.
      def over?(entry)
        return true if entry.answered

        entry.handle ? await(entry) : send_off(entry)
      rescue Exception => e # rubocop:disable Lint/RescueException -- a producer and a lambda that we do not know
        failed(entry, e)
      end

      def send_off(entry)
        partition = @producer.partition(entry.topic, entry.failure.message.partition)
        return false if partition == :later

        letter = Letter.build(entry.failure, entry.topic, group: @group, size: entry.size, headers: @headers)
        letter[:partition] = partition if partition && !entry.anywhere
        letter.delete(:timestamp) if entry.dated_now
        entry.partition = letter[:partition]
        entry.client = @producer.client
        entry.sent_at = now
        entry.handle = @producer.produce(letter)
        false
      end

      def await(entry)
        if entry.handle.pending?
          return false unless @producer.late?(now - entry.sent_at)

          @producer.discard(entry.client)
          raise Error, "librdkafka has no news of the letter after #{Producer::PATIENCE} s"
        end
        entry.handle.wait # raises what is wrong
        answer(entry, nil)
      end

      def failed(entry, error)
        code = Producer.code(error)
        @producer.discard(entry.client) if code == :fatal
        return answer(entry, error) unless change(entry, code)
        return answer(entry, too_large(entry, error)) unless entry.size

        entry.handle = nil
        over?(entry)
      end

      # Whether sending it in another way may help.
      #
      # rdkafka remembers the number of a topic's partitions for the whole process, and never a smaller one than before:
      # when the topic was made anew, or is one of another cluster, its key decides about the partition.
      #
      # A broker takes no message from far in the past or the future, unless its topic says so (Kafka 4: an hour). The
      # original's timestamp is in the headers, too.
      def change(entry, code)
        case code
        when *TOO_LARGE
          entry.size = Letter.smaller(entry.size, @headers)
          true
        when :unknown_partition then entry.partition && entry.anywhere = true
        when :invalid_timestamp then !entry.dated_now && entry.dated_now = true
        end
      end

      def too_large(entry, cause)
        text = "the dead letter is too large for #{entry.topic}, even without all that can be left out: " \
               "#{cause.message}"
        Guard.exception(TooLarge, text, cause)
      end

      # Returns whether it is over, which it is not when they are closed. Marked first, so that none is answered twice;
      # and nothing comes in between.
      def answer(entry, error)
        return entry.answered if entry.answered || @closed

        Thread.handle_interrupt(Object => :on_blocking) do
          entry.answered = true
          @answer.call(entry.failure, error)
        end
        true
      rescue Exception => e # rubocop:disable Lint/RescueException -- one bad answer is no reason to send no others
        SafeLog.warn(message: "Error in the answer to a dead letter", **SafeLog.details(e))
        true
      end
    end

    private_constant :DeadLetters
  end
end

require_relative "dead_letters/letter"
require_relative "dead_letters/producer"
