# frozen_string_literal: true

require_relative "batches/batch"

module WorkShaper
  # Works on whole batches of messages, and returns when they are finished: for frameworks that acknowledge a batch when
  # its handler returns (racecar's `process_batch`, karafka's `consume`), and for whoever else has a list of things to
  # do in parallel, those of one sub key in order.
  #
  # One object serves all batches of a process, also several at the same time: its threads and its limits are for all
  # of them, and a sub key that is in two batches runs in one of them at a time. Shut it down at the end.
  #
  # @example In racecar
  #   class OrdersConsumer < Racecar::Consumer
  #     subscribes_to "orders"
  #
  #     def configure(**)
  #       super
  #       @shaper ||= WorkShaper::Batches.new(concurrency: 50) { |message| Order.handle(message.value) }
  #     end
  #
  #     def process_batch(messages)
  #       @shaper.process(messages, sub_key: ->(message) { message.key })
  #     end
  #
  #     def teardown
  #       @shaper.shutdown(timeout: 25)
  #     end
  #   end
  class Batches
    # Settings of a {Manager} that make a difference here.
    SETTINGS = %i[concurrency max_in_flight heartbeat_period_sec].freeze

    # What {#stats} takes of those of the manager.
    STATS = %i[total_enqueued total_failed waiting running workers sub_keys shutting_down fatal].freeze

    # A batch is in memory as a whole: to hold one of its sub keys back would only hold back the others.
    MAX_IN_QUEUE = (2**31) - 1

    # Seconds between two calls of `ack`: to mark an offset is a call into librdkafka that gives up the GVL.
    ACK_PERIOD_SEC = 0.1

    # The variable of a worker's thread that holds whose worker it is.
    WORKS_FOR = :work_shaper_batches

    private_constant :SETTINGS, :STATS, :MAX_IN_QUEUE, :ACK_PERIOD_SEC, :WORKS_FOR

    # @param settings [Hash] see the options; what is not passed comes from the environment as for {Manager}
    # @option settings [Integer, String] :concurrency (25) worker threads at most
    # @option settings [Integer, String] :max_in_flight (10_000) messages of all batches that wait or run at most; of a
    #   larger batch the rest is taken in as they are finished
    # @option settings [Integer, String, nil] :heartbeat_period_sec (60) seconds between two reports in the log
    # @yieldparam message [Object] does the work of a message, in a worker thread
    # @raise [ArgumentError, TypeError] no block, one that cannot take a message, or a bad setting
    # @raise [ThreadError] no thread could be started
    # @example
    #   shaper = WorkShaper::Batches.new(concurrency: 50) { |message| Order.handle(message) }
    def initialize(**settings, &work)
      raise ArgumentError, "no block given; it does the work of a message" unless work

      unknown = settings.keys - SETTINGS
      unless unknown.empty?
        raise ArgumentError, "unknown keyword#{"s" if unknown.size > 1}: #{unknown.map(&:inspect).join(", ")}; " \
                             "the settings are #{SETTINGS.join(", ")}"
      end

      @work = Callbacks.check(:block, work)
      @manager = Manager.new(work: method(:work_on), ack: ->(batch, index) { batch.reached(index) },
                             on_error: ->(error, _message, batch, index) { batch.failed(error, index) },
                             acks: :latest, max_in_queue: MAX_IN_QUEUE, **settings)
    end

    # Works on all messages in parallel, those of one sub key in order, and returns when all are finished.
    #
    # When the work of a message raises a StandardError, the later messages of its sub key in this batch are left out:
    # whoever retries the batch then repeats them in order, behind the one that failed. Everything else is worked on to
    # the end; then the error of the message that failed first (in time) is raised here. The errors of others are
    # logged.
    #
    # When the calling thread is killed, timed out or interrupted meanwhile, and when `ack` raises, what waits is
    # dropped. What runs finishes and counts for nothing; the next batch waits for it where it has the same sub keys.
    #
    # @param messages [Array, Enumerable] anything to work on
    # @param sub_key [#call(message), nil] gives a message's sub key, anything that can be a Hash key. A message whose
    #   sub key is nil is worked on in no order; nil in place of the lambda: all of them. It is called for every
    #   message, on the calling thread, before any work starts; if it raises, nothing is worked on
    # @param ack [#call(message), nil] is told on the calling thread how far the batch is: this message and all before
    #   it in the batch are finished. It is called some ten times a second and once at the end, also before an error is
    #   raised; so a long batch that is cut short, or that fails, need not be repeated from its beginning
    # @return [nil]
    # @raise [StandardError] what the work of a message raised
    # @raise [ShuttingDown] it was shut down; or the work of a message, in this batch or another, was killed or raised
    #   what is no StandardError (the `cause`), which shuts it down: `stats[:fatal]` says why
    # @raise [Error] called inside the work of the same object, where it could wait for itself
    # @raise [ForkedProcess] it belongs to the parent process
    # @raise [TypeError, ArgumentError] messages, sub_key or ack are none
    # @example
    #   shaper.process(messages, sub_key: ->(message) { message.key })
    # @example In karafka: what is finished is marked as it is, also when the batch fails
    #   shaper.process(messages, sub_key: ->(message) { message.key }, ack: ->(message) { mark_as_consumed(message) })
    def process(messages, sub_key:, ack: nil)
      check_open
      batch = Batch.new(list(messages), sub_key && Callbacks.check(:sub_key, sub_key),
                        ack && Callbacks.check(:ack, ack, "message"))
      begin
        feed(batch)
        settle(batch)
      ensure
        forget(batch)
      end
      raise batch.error if batch.error
    end

    # Takes no new batch, finishes what is taken in, and ends the threads. A {#process} under way on another thread
    # returns when it is finished; one that has more messages than `max_in_flight` raises {ShuttingDown}. Can be called
    # again, and from any thread; not from inside the work. In a forked child it does nothing and returns true.
    #
    # @param timeout [Numeric, nil] seconds to wait at most; nil: no limit
    # @return [Boolean] whether everything is finished and no thread is left
    # @raise [Error] inside the work of the same object
    # @raise [TypeError, ArgumentError] the timeout is not a number, or less than 0
    # @example
    #   shaper.shutdown(timeout: 25)
    def shutdown(timeout: nil)
      @manager.shutdown(timeout: timeout)
    end

    # The state at this moment, in numbers of messages of all batches:
    #
    # * `total_enqueued`, `total_failed` (their work raised): since it was made
    # * `waiting`, `running`: of batches under way; `sub_keys`: those of which something waits or runs
    # * `batches`: how many are under way; `workers`: threads
    # * `shutting_down`: Boolean; `fatal`: why it shut down by itself, a String, or nil
    #
    # @return [Hash{Symbol => Object}]
    # @raise [ForkedProcess] it belongs to the parent process
    # @example
    #   shaper.stats[:running] #=> 50
    def stats
      all = @manager.stats
      all.slice(*STATS).merge(batches: all[:partitions].size)
    end

    # The settings and the work need no showing.
    # @return [String]
    def inspect
      "#<#{self.class}>"
    end

    private

    def check_open
      if @manager.shutting_down?
        fatal = @manager.stats[:fatal]
        raise ShuttingDown, "it is shut down and takes no more batches#{": #{fatal}" if fatal}"
      end
      return unless Thread.current.thread_variable_get(WORKS_FOR).equal?(self)

      raise Error, "process inside the work of the same object could wait for itself"
    end

    # A list of our own: the caller's may change.
    def list(messages)
      return messages.to_a.dup if messages.is_a?(Enumerable)

      raise TypeError, "messages is #{messages.inspect}; it must be an Array or Enumerable"
    end

    # In a worker's thread, and it is that for good.
    def work_on(message, batch, index)
      Thread.current.thread_variable_set(WORKS_FOR, self)
      batch.work_on(index) { @work.call(message) }
    end

    def feed(batch)
      batch.each_entry do |*entry|
        @manager.enqueue(*entry)
        batch.tell
      end
    end

    def settle(batch)
      batch.tell until @manager.await(batch, timeout: batch.tells? ? ACK_PERIOD_SEC : nil)
      batch.finished
      batch.tell
    end

    # What waits of it is dropped.
    def forget(batch)
      @manager.revoke(batch)
    rescue ForkedProcess
      nil # in a child that `sub_key`, `ack` or a trap handler made; it is not for us to do
    end
  end
end
