# frozen_string_literal: true

require "monitor"
require_relative "actions"
require_relative "options"
require_relative "outcomes"
require_relative "current"
require_relative "pool"
require_relative "feed"
require_relative "pull"
require_relative "progress"

# Streams of results; the gem's other half.
module WorkShaper
  # Work in parallel, results in order: inputs are pushed, or read from a source; each is worked on by the block, in a
  # worker thread; and what the block returns comes out in the order of the inputs.
  #
  # No more than `max_in_flight` inputs are inside at a time, from the push until the result is taken. So a slow input
  # or a slow reader holds the source up, and memory stays flat.
  #
  # @example A source
  #   WorkShaper.stream(urls, concurrency: 20) { |url| fetch(url) }.each { |page| save(page) }
  # @example Pushed from anywhere
  #   stream = WorkShaper::Stream.new(concurrency: 12) { |task| work(task) }
  #   Thread.new { tasks.each { |task| stream << task }; stream.close }
  #   stream.each { |result| puts result }
  class Stream
    include Enumerable

    # @param source [#each, #pop, nil] where inputs come from: anything that has `each`, or a queue, which nil or its
    #   close ends. It is read on the thread that calls {#each}, as far as there is room. nil: they are pushed
    # @param options [Hash] see the options. Nothing comes from the environment
    # @option options [Integer] :concurrency (25) worker threads at most. They are started as needed, and end when
    #   nothing is inside
    # @option options [Boolean] :ordered (true) results by ascending index; false: as they are finished
    # @option options [Integer, nil] :max_in_flight (4 * concurrency) inputs inside at most
    # @option options [#call(input), nil] :key inputs of one key run one after the other, in the order of their pushes;
    #   nil, as the option or as what it returns: no order
    # @option options [#call(input), nil] :priority an Integer from -524,287 to 524,287: of what waits, the highest runs
    #   first, the oldest of equals. Within a key the order of the pushes holds
    # @option options [Numeric, Rate, nil] :rate how many pieces of work start in a second at most
    # @option options [Numeric, nil] :timeout seconds that one try may take; then {Timeout} is raised inside the block
    # @option options [Numeric, nil] :deadline seconds for all, from the first input; then the stream ends with
    #   {Timeout}
    # @option options [Integer, :unlimited] :attempts (1) how often the work of an input is tried in all
    # @option options [Range, Numeric, #call(attempt, error)] :wait (1..60) seconds before the next try, as in {Manager}
    # @option options [Numeric] :jitter (0.15) up to so much more, at random
    # @option options [Hash] :rules what to do about certain errors, as in {Manager}, with the actions of `give_up`
    # @option options [:raise, :collect, :skip, #call(error, input)] :give_up (:raise) what comes out when the attempts
    #   are used up: the error is raised, at the input's turn, and ends the stream; all run, and then {Failures} is
    #   raised; nothing; or what the callable returns
    # @option options [#call(error, input), nil] :on_error is told of every failed try. It decides nothing
    # @option options [Boolean] :interrupt (true) whether a timeout, a deadline, {#cancel} and a kill of the reader
    #   raise into work that runs. Otherwise it is told ({WorkShaper.current}`.cancelled?`) and waited for
    # @option options [#call, nil] :local makes what the work of one thread shares, a connection say: it is the block's
    #   second argument
    # @option options [#call(local), nil] :release is called with that when the thread ends
    # @option options [#call(done, total), nil] :progress is told how many results were taken, and of how many (nil:
    #   that is not known), ten times a second at most, on the reader's thread
    # @yieldparam input [Object] what was pushed or read
    # @raise [TypeError, ArgumentError] a keyword is unknown, or a value is of the wrong type or out of range
    def initialize(source: nil, **options, &block)
      raise ArgumentError, "a stream needs a block, which does the work" unless block
      unless source.nil? || source.respond_to?(:each) || source.respond_to?(:pop)
        raise TypeError, "source is #{source.inspect}; it must answer each or pop"
      end

      @source = source
      @block = block
      @options = Options.new(options)
      @lock = Mutex.new
      @monitor = Monitor.new
      @pool = new_pool unless origin
    end

    # Pushes an input. Blocks while `max_in_flight` are inside; with a block it yields the results that have come,
    # also while it waits, so that one thread can push and read.
    #
    # @param input [Object] anything
    # @param index [Integer, nil] its place among the results, from 0 to 2**63 - 1; nil: after the highest so far. One
    #   that is lower than what came out already comes out next
    # @param timeout [Numeric, nil] seconds to wait for room at most; nil: no limit
    # @yieldparam result [Object]
    # @return [self]
    # @raise [Closed] the stream was closed
    # @raise [Full] the timeout passed; or there is no room, inside the stream's own work
    # @raise [Exception] what the stream ended with: its first error, or {Cancelled}
    # @raise [ForkedProcess] the stream belongs to the parent process
    # @example
    #   stream.push(task, index: 7) { |result| puts result }
    def push(input, index: nil, timeout: nil, &block)
      pushed.push(input, index, timeout, &block)
      self
    end

    # Pushes an input, and waits for room.
    #
    # @return [self]
    # @raise [Exception] as {#push}
    # @example
    #   stream << task << another
    def <<(input)
      push(input)
    end

    # Pushes an input if there is room right now.
    #
    # @return [Boolean] false: there is none
    # @raise [Exception] as {#push}
    # @example
    #   sleep 0.1 until stream.try_push(task)
    def try_push(input, index: nil)
      pushed.try_push(input, index)
    end

    # Nothing more is pushed: the results end when all have come out. Can be called again.
    #
    # @return [self]
    # @example
    #   stream.close
    def close
      pushed.close
      self
    end

    # @return [Boolean] whether it was closed, or has ended
    # @example
    #   stream << task unless stream.closed?
    def closed?
      @pool ? @pool.closed? : !@ended_with.nil?
    end

    # Reads the source, if there is one, and yields each result; returns at the end of the source or after {#close}.
    # When it has returned or raised, nothing of the stream runs or waits any more. Of several readers each result goes
    # to one.
    #
    # When it is left early, by a break or an exception, it waits for what runs, whose results are dropped.
    #
    # @yieldparam result [Object]
    # @return [Enumerator, self]
    # @raise [Failures] `give_up: :collect`, and some failed
    # @raise [Timeout] the deadline has come
    # @raise [Cancelled] it was cancelled
    # @raise [Exception] what the work of an input raised, or the source
    # @example
    #   stream.each { |result| puts result }
    def each(&block)
      return enum_for(:each) unless block

      @at_end = false
      read(Progress.wrap(@options[:progress], @source, block))
      self
    end

    # Waits for the next result. With a source that is for one thread, since Ruby reads it in a Fiber then.
    #
    # @param timeout [Numeric, nil] seconds to wait at most; nil: no limit
    # @return [Object]
    # @raise [StopIteration] the end has come; {#each} begins again, if there is a source
    # @raise [Timeout] the timeout passed
    # @raise [Exception] as {#each}
    # @example
    #   loop { puts stream.next }
    def next(timeout: nil)
      raise StopIteration, "the stream is at its end" if @at_end

      ensure_end_on_error do
        result = @source ? (@pull ||= Pull.new(origin, pools)).take(timeout) : @pool.take(timeout, nil)
        raise Timeout, "nothing came out within #{timeout} s" if result == false
        return result.first if result

        finish
      end
      @at_end = true
      raise StopIteration, "the stream is at its end"
    end

    # A further stage: a stream whose source this one is. The workers hand the results over themselves.
    #
    # @param options [Hash] as for {#initialize}
    # @return [Stream]
    # @example
    #   stream.stage(concurrency: 4) { |page| parse(page) }.each { |document| save(document) }
    def stage(**options, &block)
      Stream.new(source: self, **options, &block)
    end

    # Ends the stream and all its stages now: what waits is dropped, what runs is told and, unless `interrupt` is false,
    # interrupted; who pushes or reads gets the error. Can be called from anywhere, also inside the work and in a trap
    # handler.
    #
    # @param error [Exception, nil] nil: {Cancelled}
    # @return [nil]
    # @raise [TypeError] it is no exception
    # @example
    #   trap("INT") { stream.cancel }
    def cancel(error = nil)
      unless error.nil? || error.is_a?(Exception)
        raise TypeError, "error is #{error.inspect}; it must be an exception, or nil"
      end

      @ended_with ||= error || Cancelled.new("the stream was cancelled")
      pool = @pool or return
      pool.cancel(@ended_with)
      pool.interrupt(pool.cancelled_error)
      nil
    end

    # @return [Exception, nil] what it ended with, or is about to end with
    # @example
    #   warn stream.error.message if stream.error
    def error
      @pool ? @pool.error : @ended_with || @last_error
    end

    # Changes how many workers there are at most. Those that are too many end when they have finished what they do.
    #
    # @param count [Integer]
    # @raise [TypeError, ArgumentError]
    # @example
    #   stream.concurrency = 50
    def concurrency=(count)
      @options.concurrency = count
      @pool&.concurrency = @options.concurrency
    end

    # @return [Integer] worker threads at most
    def concurrency
      @options.concurrency
    end

    # Numbers: `pushed`, `taken`, `in_flight` (inside: pushed and not taken), `waiting`, `running`, `retrying`,
    # `workers`, `failed`, `retried`, `skipped`. With a source, those of the last {#each}.
    #
    # @return [Hash{Symbol => Integer}]
    # @example
    #   stream.stats[:in_flight] #=> 48
    def stats
      @pool ? @pool.stats : @stats || Pool::COUNTS.to_h { |name| [name, 0] }
    end

    # Runs the block while no other thread is inside a synchronize of this stream.
    #
    # @return [Object] what the block returns
    # @example
    #   stream.synchronize { total += result }
    def synchronize(&block)
      @monitor.synchronize(&block)
    end

    # Without the block and the source, which may hold anything.
    #
    # @return [String]
    def inspect
      "#<#{self.class} concurrency #{concurrency}#{", closed" if closed?}>"
    end

    protected

    # The pools from the first stage to this one.
    def pools
      (@source.is_a?(Stream) ? @source.pools : []) << pool
    end

    def pool
      made = @pool || @lock.synchronize { @pool ||= new_pool }
      made.cancel(@ended_with) if @ended_with # which may have come before the pool did
      made
    end

    # Where the first stage reads.
    def origin
      @source.is_a?(Stream) ? @source.origin : @source
    end

    def forget_pool
      @source.forget_pool if @source.is_a?(Stream)
      return if origin.nil? || @ended_with || !@pool

      @stats = @pool.last_stats
      @last_error = @pool.last_error
      @pool = nil
    end

    private

    def new_pool
      Pool.new(@block, @options).tap do |pool|
        @source.pool.link(pool) if @source.is_a?(Stream)
      end
    end

    def pushed
      raise Error, "this stream has a source; nothing is pushed to it" if @source

      @pool
    end

    def read(block)
      done = false
      pools = self.pools
      Feed.new(origin, pools).each(&block) if origin && first_reader?
      pools.last.each_result(&block)
      done = true
      raise_failures(pools)
    ensure
      leave(pools, done) if pools
    end

    # Others that read at the same time only take results.
    def first_reader?
      @lock.synchronize { !@read && (@read = true) }
    end

    def raise_failures(pools)
      rows = pools.flat_map(&:failures)
      raise Failures, rows unless rows.empty?
    end

    # Its reader leaves. (A break and an exception of the reader's own leave what runs alone; a kill does not.)
    def leave(pools, done)
      unless done
        pools.last.cancel(Cancelled.new("the stream's reader has left"))
        pools.last.interrupt(pools.last.cancelled_error) if Thread.current.status == "aborting"
      end
      pools.each(&:shutdown)
    ensure
      @read = false
      @pull = nil
      forget_pool
    end

    def finish
      pools = self.pools
      raise_failures(pools)
    ensure
      leave(pools, true) if pools
    end

    def ensure_end_on_error
      yield
    rescue Timeout
      raise unless error

      leave(pools, false)
      raise
    rescue Exception # rubocop:disable Lint/RescueException -- whatever it was, nobody is there to read on
      leave(pools, false) if @pool
      raise
    end
  end

  class << self
    # Works on each input in parallel, and returns the results in the order of the inputs.
    #
    # @param source [#each] as for {Stream#initialize}
    # @param options [Hash] as for {Stream#initialize}
    # @yieldparam input [Object]
    # @return [Array]
    # @raise [Exception] as {Stream#each}
    # @example
    #   WorkShaper.map(urls, concurrency: 20) { |url| fetch(url) }
    def map(source, **options, &block)
      Stream.new(source: check_source(source), **options, &block).to_a
    end

    # A stream of the results of a source's inputs: Enumerable, and lazy.
    #
    # @param source [#each, #pop] as for {Stream#initialize}
    # @param options [Hash] as for {Stream#initialize}
    # @yieldparam input [Object]
    # @return [Stream]
    # @example
    #   WorkShaper.stream(messages) { |message| JSON.parse(message.payload) }.each { |order| save(order) }
    def stream(source, **options, &block)
      Stream.new(source: check_source(source), **options, &block)
    end

    private

    def check_source(source)
      raise TypeError, "source is nil; it must answer each or pop" if source.nil?

      source
    end
  end
end
