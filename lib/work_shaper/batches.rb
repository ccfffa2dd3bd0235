# frozen_string_literal: true

require_relative "batches/batch"
require_relative "batches/pool"

module WorkShaper
  # Works on whole batches of messages, and returns when they are finished: for frameworks that acknowledge a batch when
  # its handler returns (racecar's `process_batch`, karafka's `consume`), and for any other list of things to do in
  # parallel, in order per sub key.
  #
  # One object serves all batches of a process, even several at the same time: they share its threads and limits, and a
  # sub key that is in two batches runs in only one of them at a time. Shut it down at the end.
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
    # Settings of a {Manager} that make a difference here. (What failed is tried again by the framework, as a batch.)
    SETTINGS = %i[concurrency max_in_flight heartbeat_period_sec timeout].freeze

    # The stats of the manager that {#stats} passes on.
    STATS = %i[total_enqueued total_failed waiting running workers sub_keys shutting_down fatal].freeze

    # A batch is in memory as a whole: holding back one of its sub keys would only hold back the others.
    MAX_IN_QUEUE = (2**31) - 1

    # Seconds between two calls of `ack`: marking an offset is a call into librdkafka that gives up the GVL.
    ACK_PERIOD_SEC = 0.1

    # The thread variable of a worker that holds the object it works for.
    WORKS_FOR = :work_shaper_batches

    private_constant :SETTINGS, :STATS, :MAX_IN_QUEUE, :ACK_PERIOD_SEC, :WORKS_FOR

    # @param settings [Hash] see the options; what is not passed comes from the environment as for {Manager}
    # @option settings [Integer, String] :concurrency (25) maximum number of worker threads
    # @option settings [Integer, String] :max_in_flight (10_000) maximum number of messages that wait or run, in all
    #   batches together; the rest of a larger batch is taken in as messages finish
    # @option settings [Integer, String, nil] :heartbeat_period_sec (60) seconds between two reports in the log
    # @option settings [Numeric, String, nil] :timeout (nil) seconds that the work of one message may take; then
    #   {Timeout} is raised inside it (`WORK_SHAPER_TIMEOUT`)
    # @yieldparam message [Object] the message to work on; the block is called in a worker thread
    # @raise [ArgumentError, TypeError] there is no block, it cannot take a message, or a setting is invalid
    # @raise [ThreadError] no thread could be started
    # @example
    #   shaper = WorkShaper::Batches.new(concurrency: 50) { |message| Order.handle(message) }
    def initialize(**settings, &work)
      raise ArgumentError, "no block given; it does the work of a message" unless work

      Settings.refuse_unknown(settings, SETTINGS)
      work = Callbacks.check(:block, work)
      @manager = Pool.new(work: method(:work_on), ack: ->(batch, index) { batch.reached(index) },
                          on_error: ->(error, _message, batch, index) { batch.failed(error, index) },
                          acks: :latest, max_in_queue: MAX_IN_QUEUE, **settings)
      @work = @manager.limited(work)
    end

    # Works on all messages in parallel, those of one sub key in order, and returns when all are finished.
    #
    # When the work of a message raises, the later messages of its sub key in this batch are left out: a
    # retry of the batch then repeats them in order, behind the one that failed. All other messages are worked on; then
    # the error of the message that failed first (in time) is raised. Any other errors are logged.
    #
    # When the calling thread is killed, timed out or interrupted meanwhile, or when `ack` raises, the messages that
    # wait are dropped. Those that run finish, but without effect; the next batch waits for them where it has the same
    # sub keys.
    #
    # @param messages [Array, Enumerable] anything to work on
    # @param sub_key [#call(message), nil] gives a message's sub key, anything that can be a Hash key. Messages whose
    #   sub key is nil are worked on in no particular order; with nil in place of the lambda, all messages are. It is
    #   called for every message, on the calling thread, before any work starts; if it raises, nothing is worked on
    # @param ack [#call(message), nil] is told on the calling thread how far the batch is: this message and all before
    #   it in the batch are finished. It is called about ten times a second and once at the end, even before an error is
    #   raised; so a long batch that is cut short, or that fails, need not be repeated from its beginning
    # @return [nil]
    # @raise [StandardError] what the work of a message raised; an {Error} with that as its cause when it is no
    #   StandardError, since frameworks take only these for failures
    # @raise [ShuttingDown] it was shut down; or it shut down by itself because the work of a message, in this batch or
    #   another, was killed or raised SystemExit, a SignalException or NoMemoryError (the `cause`): `stats[:fatal]` says
    #   why. The main thread gets a SystemExit itself
    # @raise [Error] called inside the work of the same object, where it could wait for itself
    # @raise [ForkedProcess] it belongs to the parent process
    # @raise [TypeError, ArgumentError] messages is not an Enumerable, or sub_key or ack cannot be called with one
    #   message
    # @example
    #   shaper.process(messages, sub_key: ->(message) { message.key })
    # @example In karafka: messages are marked as consumed as they finish, even when the batch fails
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

    # Takes no new batch, finishes what was taken in, and ends the threads. A {#process} under way on another thread
    # returns when its batch is finished; if the batch is larger than `max_in_flight` and not yet taken in completely,
    # it raises {ShuttingDown}. Can be called again, and from any thread, but not from inside the work. In a forked
    # child it does nothing and returns true.
    #
    # @param timeout [Numeric, nil] seconds to wait at most; nil: no limit
    # @return [Boolean] whether everything is finished and no thread is left
    # @raise [Error] called inside the work of the same object
    # @raise [TypeError, ArgumentError] the timeout is not a number >= 0
    # @example
    #   shaper.shutdown(timeout: 25)
    def shutdown(timeout: nil)
      @manager.shutdown(timeout: timeout)
    end

    # The state at this moment, in numbers of messages, of all batches together:
    #
    # * `total_enqueued`, `total_failed` (their work raised): since it was made
    # * `waiting`, `running`: of batches under way; `sub_keys`: those with something waiting or running
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

    # Shows neither the settings nor the work.
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

    # Called in a worker's thread, which works for this object as long as it lives.
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

    # Drops the messages of the batch that wait.
    def forget(batch)
      @manager.revoke(batch)
    rescue ForkedProcess
      nil # in a child that `sub_key`, `ack` or a trap handler forked; the parent does it
    end
  end
end
