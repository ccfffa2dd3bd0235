# frozen_string_literal: true

require "rdkafka"
require_relative "fake_change"
require_relative "fake_offsets"
require_relative "fake_queries"

module ConsumerHelpers
  # Stands where WorkShaper::Consumer::Client stands, with partitions that the example fills, assigns and revokes. It is
  # as nasty as librdkafka: it remembers the pause of a partition that goes, and goes back to where it was last assigned
  # when one is resumed that is not paused; it gives a single message when there was none at once. What must not be done
  # to a client (to use it from several threads, after it was closed, or to wait for an answer where librdkafka may
  # never give one) it notes in `misuse`.
  class FakeClient
    include FakeOffsets

    # A call that the example asked for, to be made on the polling thread, and whether it was made.
    Event = Struct.new(:block, :done)

    # The most messages that one take brings, as with the real one.
    CAPACITY = 1000

    # Accepted offsets in the order of the calls of store: [topic, partition, offset]; what was refused.
    attr_reader :stored, :refused
    # topic_partition => the text that was committed beside its offset.
    attr_reader :metadata
    attr_reader :config, :listener, :topics, :misuse, :failures, :reports, :paused_partitions, :calls, :takes
    # What the polling thread is inside of, where librdkafka may never answer what it is asked; nil: nothing.
    attr_reader :inside
    # What reachable? says; whether assignments replace each other, and what goes is not revoked (as in KIP-848 on
    # librdkafka 2.8.0); whether commits succeed; what librdkafka says against seek; partitions of which nothing comes.
    attr_writer :answered, :replacing, :commit_succeeds, :seek_refusal, :stalled
    # That of what is produced.
    attr_writer :leader_epoch
    # Is called with topic, partition and offset instead of storing them.
    attr_accessor :on_store
    # The name of the error that was fatal.
    attr_accessor :fatal_reason
    # Are called with the messages before take returns them; with what committed? was given, to answer it; before the
    # client is closed.
    attr_accessor :on_take, :on_commit, :on_close
    # What other threads may ask; what brokers answered to commits.
    attr_reader :queries, :commits, :membership

    def initialize
      # Two threads at once may be the first to look at a partition.
      @log = Hash.new { |log, name| @mutex.synchronize { log.fetch(name) { log[name] = [] } } }
      @positions, @starts, @committed, @kept, @metadata = Array.new(5) { {} }
      @stored, @refused, @misuse, @failures, @reports, @paused_partitions, @calls, @events, @given = Array.new(9) { [] }
      @stalled = []
      @queries = FakeQueries.new(self, @log, @positions)
      @commits = ConsumerHelpers.inner(:CommitResults).new
      @membership = ConsumerHelpers.inner(:Membership).new(ConsumerHelpers.inner(:Options)::DEFAULTS)
      @answered = @commit_succeeds = true
      @takes = 0
      @mutex = Mutex.new
      @changed = ConditionVariable.new
    end

    # Topics that do not exist.
    def missing_topics
      @missing_topics ||= []
    end

    def topic?(name)
      !missing_topics.include?(name)
    end

    # What the example does

    # Appends a message for each key; payload: "key:number" of all in that partition.
    def produce(topic, partition, *keys)
      log = @log[[topic, partition]]
      keys.each do |key|
        log << WorkShaper::Message.new(topic: topic, partition: partition, offset: log.size, key: key,
                                       payload: "#{key}:#{log.size}", leader_epoch: @leader_epoch)
      end
      wake
    end

    # The topic is deleted and made again, with such keys in the partition.
    def make_again(topic, partition, id, *keys)
      @log[[topic, partition]].clear
      produce(topic, partition, *keys)
      queries.ids[topic] = id
    end

    # The partitions come at the next take, added to what is there; or, when replacing, instead of it. Returns when they
    # are there.
    def assign(*topic_partitions)
      change = nil
      within_take { change = assign_now(*topic_partitions) }
      await("nobody took the partitions") { change.done }
    end

    # The partitions are to go. Returns when they have gone.
    def revoke(*topic_partitions)
      change = ask_for(*topic_partitions)
      await("nobody gave the partitions back") { change.done }
    end

    # The same, but returns as soon as they were asked for.
    def ask_for(*topic_partitions)
      change = nil
      within_take { change = revoke_now(*topic_partitions) }
      change
    end

    # The partitions are lost: they have other owners already.
    def lose(*topic_partitions)
      within_take { revoke_now(*topic_partitions, lost: true) }
    end

    # An error comes instead of a message.
    def fail_with(code, text = "", topic = nil, partition = -1)
      failure = ConsumerHelpers.client_class::Failure.new(code, text, topic, partition)
      within_take { @failures << failure }
    end

    # The client of the next member: what was produced and committed is there.
    def successor
      FakeClient.new.tap { |other| other.take_over(@log, @committed, @metadata) }
    end

    # Runs the block on the polling thread, inside the next take.
    def later(&block)
      Event.new(block).tap do |event|
        @events << event
        wake
      end
    end

    # The same, and waits for it.
    def within_take(&block)
      event = later(&block)
      await("nobody took anything") { event.done }
    end

    # Whoever waits in take looks again.
    def wake
      @mutex.synchronize do
        @woken = true
        @changed.signal
      end
    end

    # Whoever waits in take comes back with nothing.
    def interrupt
      @mutex.synchronize { @changed.signal && false }
    end

    # For use on the polling thread.
    def assign_now(*topic_partitions)
      rebalance(FakeChange.new(topic_partitions, true, @replacing, false, lambda do |offsets|
        @positions.keys.each { |place| leave(place) } if @replacing # rubocop:disable Style/HashEachMethods
        topic_partitions.each { |place| enter(place, offsets[place]) }
      end))
    end

    def revoke_now(*topic_partitions, lost: false)
      rebalance(FakeChange.new(topic_partitions, false, false, lost,
                               ->(_) { topic_partitions.each { |place| leave(place, lost: lost) } }))
    end

    def closed?
      @closed ? true : false
    end

    # What the group would go on with if this member died now and nothing but what was stored counted.
    def offset_of(topic, partition)
      @kept[[topic, partition]]&.first || @committed[[topic, partition]]
    end

    # The offsets that were stored for one partition.
    def stored_of(topic, partition)
      stored.select { |row| row.first(2) == [topic, partition] }.map(&:last)
    end

    # What the poll loop calls

    def connect(config, listener, _oauth_token = nil)
      @config = config
      @listener = listener
      self
    end

    def reachable?(milliseconds)
      note(:reachable)
      sleep(milliseconds / 1000.0) unless @answered
      @answered
    end

    def subscribe(topics)
      note(:subscribe)
      @topics = topics
    end

    # What is there, up to so many, and no more after so many bytes; else it waits for a single one.
    def take(count, milliseconds, bytes = nil)
      note(:take)
      misused("take of #{count}") unless count.positive?
      @takes += 1
      @interrupted = false
      within("take") do
        messages = now_there([count, CAPACITY].min, bytes)
        messages = await_one(milliseconds) if messages.empty? && @failures.empty?
        @on_take&.call(messages) if messages.any?
        messages
      end
    end

    def store(topic, partition, offset, metadata = nil, covered = nil)
      misused("store after close") if @closed
      return @on_store.call(topic, partition, offset) if @on_store

      place = [topic, partition]
      (@positions.key?(place) ? @stored : @refused) << [*place, offset]
      @positions.key?(place) && keep_stored(place, offset, metadata, covered)
    end

    # How many messages a partition has.
    def end_offset(topic, partition)
      @log[[topic, partition]].size
    end

    def pause(topic_partitions)
      note(:pause)
      @paused_partitions |= topic_partitions
    end

    def resume(topic_partitions)
      note(:resume)
      misused("resume of what is not paused") if (topic_partitions - @paused_partitions).any?
      (topic_partitions - @paused_partitions).each { |name| @positions[name] = @starts[name] if @positions.key?(name) }
      topic_partitions.each { |name| @positions[name] = queries.astray[name] if queries.astray.key?(name) }
      @paused_partitions -= topic_partitions
    end

    # The partitions go at the next take.
    def unsubscribe
      note(:unsubscribe)
      later { revoke_now(*@positions.keys) if @positions.any? }
    end

    def member?
      !calls.include?(:unsubscribe)
    end

    def assigned
      note(:assigned)
      @positions.keys
    end

    def close
      note(:close)
      within("close") do
        @on_close&.call
        revoke_now(*@positions.keys) if @positions.any?
      end
      @closed = true
    end

    protected

    def take_over(log, committed, metadata)
      @log = log
      @committed = committed
      @metadata = metadata
    end

    private

    def enter(topic_partition, offset)
      @positions[topic_partition] = @starts[topic_partition] = offset || @committed.fetch(topic_partition, 0)
    end

    def rebalance(change)
      within("a rebalance") { @listener.rebalance(change) }
      @interrupted = true
      change
    end

    def await(complaint)
      deadline = ManagerHelpers.now + ManagerHelpers::DEADLINE
      until yield
        raise complaint if ManagerHelpers.now > deadline

        sleep ManagerHelpers::POLL_SEC
      end
    end

    # librdkafka commits what was stored when a partition goes, if it still can.
    def leave(topic_partition, lost: false)
      @positions.delete(topic_partition)
      @given.reject! { |message| [message.topic, message.partition] == topic_partition }
      lost ? @kept.delete(topic_partition) : keep
    end

    def within(call)
      before = @inside
      @inside = call
      yield
    ensure
      @inside = before
    end

    def await_one(milliseconds)
      deadline = ManagerHelpers.now + (milliseconds / 1000.0)
      messages = []
      messages = now_there(1) while messages.empty? && @failures.empty? && !@interrupted && wait(deadline)
      messages
    end

    def now_there(count, bytes = nil)
      serve_events
      given = @given.shift(count)
      given + fetch(count - given.size, bytes || Float::INFINITY)
    end

    # Events that give messages (what the block returns, if it is an Array of them) put them before what is fetched.
    def serve_events
      while (event = @events.shift)
        result = event.block.call
        @given.concat(result) if result.is_a?(Array) && result.first.is_a?(WorkShaper::Message)
        event.done = true
      end
    end

    def fetch(count, left)
      (@positions.keys - @paused_partitions - @stalled).flat_map do |topic_partition|
        found = @log[topic_partition].slice(@positions[topic_partition], count) || []
        found = found.take_while { |one| left.positive?.tap { left -= "#{one.key}#{one.payload}".bytesize } }
        count -= found.size
        @positions[topic_partition] += found.size
        found
      end
    end

    # Returns whether there may be something new; not after the deadline, an interrupt or Thread#wakeup.
    def wait(deadline)
      @mutex.synchronize do
        remaining = deadline - ManagerHelpers.now
        @changed.wait(@mutex, remaining) if remaining.positive? && !@woken
        @woken.tap { @woken = false }
      end
    end

    # Everything but store is called by one thread, and nothing after close.
    # `anywhere`: whether any thread may make that call.
    def note(call, anywhere: false)
      @calls << call
      misused("#{call} after close") if @closed
      @thread ||= Thread.current unless anywhere
      misused("#{call} from #{Thread.current.inspect}") unless anywhere || @thread == Thread.current
    end

    def misused(how)
      @misuse << how
    end
  end
end
