# frozen_string_literal: true

module WorkShaper
  module Testing
    # A consumer, its partitions and what happens to them: see {Testing.session}.
    #
    # Nothing is committed but by {#commit}, {#revoke}, {#rebalance} and {#stop}. The work itself may call all but
    # {#work}, {#stop} and {#restart}: that happens in the middle of it, then.
    #
    # @example
    #   WorkShaper::Testing.session(consumer) do |session|
    #     session.deliver([{ payload: "paid", key: "a" }, { payload: "sent", key: "a" }])
    #     session.work(1)
    #     session.crash # nothing was committed
    #     session.restart
    #     session.work #=> 2
    #   end
    class Session
      # @return [Clock]
      # @example
      #   session.clock.advance(60)
      attr_reader :clock

      # @return [Integer]
      # @example
      #   puts session.seed
      attr_reader :seed

      # @!visibility private
      def initialize(consumer, seed: nil, clock: Clock.new)
        raise TypeError, "clock is #{clock.inspect}; it must be a #{Clock}" unless clock.is_a?(Clock)

        @subject = Subject.new(consumer)
        @clock = clock
        @seed = Seed.of(seed)
        @random = Random.new(@seed)
        @record = Record.new(@seed)
        @broker = Broker.new(@subject, clock)
        @revoked = []
        restart
      end

      # Writes messages to the topics. The consumer takes them as it works.
      #
      # @param messages [Array<Message, Hash>] see {Testing.message}
      # @return [nil]
      # @raise [ArgumentError, TypeError] one is no message, its topic is not consumed, or its offset not above those
      #   before it in the partition
      # @example
      #   session.deliver([{ payload: "paid", key: "a" }])
      def deliver(messages)
        @broker.append(messages)
        nil
      end

      # Works until nothing is left, or so many tries. Waits for a next try pass at once: the clock is moved.
      #
      # @param count [Integer, nil] tries; nil: until nothing is left. A consumer that ends meanwhile does so
      # @return [Integer] how many tries there were
      # @raise [TypeError, ArgumentError] count is no Integer >= 1
      # @raise [Error] the consumer does not run; or see {Testing.consume}
      # @raise [Exception] what {Consumer#run} would raise
      # @example
      #   session.work(3) #=> 3
      def work(count = nil)
        check_count(count)
        tries = 0
        tries += 1 while (count.nil? || tries < count || @pool&.shutting_down?) && step
        tries
      end

      # Commits what is finished, as Kafka does now and then: of each partition the next offset to be read, and which
      # offsets beyond it are finished.
      #
      # @return [nil]
      # @raise [Error] the consumer does not run
      # @example
      #   session.commit
      def commit
        save(check_running.checkpoints)
      end

      # The group gives partitions to others: what waits of them is dropped, what is finished is committed. A message
      # that runs finishes, and that has no effect any more.
      #
      # @param partitions [Array<String>] "topic/partition"; none: all
      # @return [nil]
      # @raise [ArgumentError] a partition is not the consumer's
      # @raise [Error] the consumer does not run
      # @example
      #   session.revoke("orders/0")
      def revoke(*partitions)
        pool = check_running
        names = chosen(partitions, @broker.partitions.keys - @revoked)
        save(pool.checkpoints.slice(*names))
        names.each { |name| pool.revoke(name) }
        @revoked.concat(names)
        nil
      end

      # Partitions that were revoked come back, and go on from what is committed.
      #
      # @param partitions [Array<String>] "topic/partition"; none: all
      # @return [nil]
      # @raise [ArgumentError] a partition was not revoked
      # @raise [Error] the consumer does not run
      # @example
      #   session.assign("orders/0")
      def assign(*partitions)
        check_running
        chosen(partitions, @revoked.dup).each { |name| @revoked.delete(name) }
        nil
      end

      # Partitions go and come back at once: what was taken and not finished is delivered again.
      #
      # @param partitions [Array<String>] "topic/partition"; none: all
      # @return [nil]
      # @raise [ArgumentError] a partition is not the consumer's
      # @raise [Error] the consumer does not run
      # @example
      #   session.rebalance
      def rebalance(*partitions)
        names = chosen(partitions, @broker.partitions.keys - @revoked)
        revoke(*names)
        assign(*names)
      end

      # The process dies, as after `kill -9`: what was not committed is delivered again to the next one. Work that calls
      # this ends there, too: an exception goes through it that is no StandardError.
      #
      # @return [nil]
      # @raise [Error] the consumer does not run
      # @example
      #   session.crash
      def crash
        pool = check_running
        pool.die
        @pool = nil
        raise Foreign::Crashed, "the process died" if pool.working?
      end

      # A new process takes its place, and all partitions: it goes on from what is committed.
      #
      # @return [nil]
      # @raise [Error] the consumer runs
      # @example
      #   session.restart
      def restart
        raise Error, "the consumer runs; it can only be restarted after a crash or a stop" if running?

        @revoked.clear
        intake = Intake.new(@broker, @revoked, @random)
        @pool = Pool.new(@subject, intake, @record, @clock, @random)
        nil
      end

      # Stops the consumer, as {Consumer#stop} does in production: what waits is dropped, unless it has `drain` or what
      # waits is below what is finished. What is finished is committed.
      #
      # @return [nil]
      # @raise [Error] the consumer does not run
      # @raise [Exception] what {Consumer#run} would raise
      # @example
      #   session.stop
      def stop
        check_running.stop
        work
        nil
      end

      # @return [Boolean] false after a crash, a stop and what ends a consumer
      # @example
      #   session.restart unless session.running?
      def running?
        !@pool.nil?
      end

      # What came of it so far.
      #
      # @return [Result]
      # @example
      #   session.result.acknowledged #=> { "orders/0" => 2 }
      def result
        @record.result(@broker.committed)
      end

      # @return [String]
      def inspect
        "#<#{self.class} seed #{seed}#{", down" unless running?}>"
      end

      private

      # Works until nothing is left, and dies meanwhile as {Testing.consume} says.
      def work_with_crashes(crash)
        crashes = Crashes.new(crash, @broker, @random)
        while (item = step)
          next unless running? && item.over && !@pool.shutting_down?

          if crashes.after?(item.message)
            self.crash
            restart
          elsif crashes.commit?
            commit
          end
        end
      end

      # Returns what was worked on; nil: nothing is left.
      def step
        pool = check_idle
        item = Log.capture(@record.log) { pool.step }
        return unless pool.equal?(@pool) # it died meanwhile

        end_run(pool) if item.nil? && pool.shutting_down?
        item
      rescue Exception => e # rubocop:disable Lint/RescueException -- whatever it is, nothing goes on behind it
        return if Foreign::Crashed === e && pool && !pool.equal?(@pool)

        @pool = nil if pool
        raise
      end

      # It was asked to stop, or something ended it.
      def end_run(pool)
        commit
        @pool = nil
        raise pool.fatal if pool.fatal
      end

      def save(checkpoints)
        checkpoints.each { |name, checkpoint| @broker.partitions[name].commit(*checkpoint) }
        nil
      end

      def check_running
        @pool or raise Error, "the consumer does not run; restart it"
      end

      def check_idle
        pool = check_running
        raise Error, "the work of a message cannot have others worked on" if pool.working?

        pool
      end

      def check_count(count)
        return if count.nil? || (count.is_a?(Integer) && count.positive?)

        error = count.is_a?(Integer) ? ArgumentError : TypeError
        raise error, "count is #{count.inspect}; it must be an Integer >= 1, or nil: until nothing is left"
      end

      def chosen(partitions, possible)
        unknown = partitions - possible
        return partitions.empty? ? possible : partitions if unknown.empty?

        raise ArgumentError, "#{unknown.map(&:inspect).join(", ")} cannot be meant; there are " \
                             "#{possible.empty? ? "none" : possible.join(", ")}"
      end
    end
  end
end
