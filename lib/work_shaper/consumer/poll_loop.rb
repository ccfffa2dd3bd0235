# frozen_string_literal: true

module WorkShaper
  class Consumer
    # One run of a consumer: the polling thread, from joining the group to leaving it.
    #
    # @private
    class PollLoop
      include Clock

      IDLE_WAIT = 500 # milliseconds without a message while nothing runs, and nothing will by itself
      BUSY_WAIT = 10 # the same while something does; after that, workers that compute give way to the loop
      REBALANCE_TIME = 60 # seconds after which a rebalance is one that does not end
      CLOSING_TIME = 2 # seconds for the producer of dead letters to end

      # @return [Numeric] monotonic seconds at the last turn of the loop
      attr_reader :turned_at

      # @return [Boolean, nil] whether all that ran was finished and committed in time; nil until it is over
      attr_reader :result

      # @return [Exception, nil] what ended it
      attr_reader :failure

      # @return [Pool, LagHistory]
      attr_reader :pool, :lag_history

      # @return [Thread, nil] the polling thread, once it is started
      attr_reader :thread

      # @param options [Options]
      # @param callbacks [Hash] what the pool is to call, except ack
      # @param drain [Boolean] whether what waits is worked on when it stops
      # @param pauses [Pauses] which partitions the application has paused
      # @param connect [#call] makes a client of a config and a rebalance listener
      def initialize(options, callbacks, drain:, pauses:, connect: Client.method(:new))
        @options = options
        @drain = drain
        @pauses = pauses
        @connect = connect
        @events = Events::Publisher.new(group: options.config["group.id"])
        @pool = new_pool(callbacks)
        @in_flight_limit = new_in_flight_limit
        @assignment = Assignment.new(@pool, options.listener, options.revoke_timeout, @events)
        look_out
        @unfed = [] # messages that were taken
        @assignment.on_revoked { |gone| forget_unfed(gone) }
        @assignment.on_restarted { |restarted| forget_unfed(restarted) }
        @stops = 0
        @turned_at = now
      end

      # Starts the polling thread, which calls the block at its end.
      def start(&over)
        @thread = OwnThread.start("work_shaper intake", over) { run }
      end

      # Why no messages can come; nil: they can.
      #
      # @return [String, nil]
      def unready
        return "it stops" if over? || @quiet || !result.nil? || failure
        return "Kafka does not answer" unless @lookout.reachability.reachable

        return "the group has given it no assignment yet" unless @assignment.member?

        "its group has been in a rebalance for #{unsteady_sec.round} s" if unsteady_sec > REBALANCE_TIME
      end

      # Asks it to end; a second call tells it not to wait for what runs.
      def stop
        @stops += 1
        @thread&.wakeup
      rescue ThreadError
        nil # it has ended
      end

      # Takes nothing more in from now on, but stays in the group.
      def quiet
        @quiet = true
      end

      # Waits for its end.
      def join
        @thread ? @thread.join : @pool.request_shutdown
      end

      # Seconds since the last turn of the loop.
      def silence
        now - turned_at
      end

      # The numbers of the pool, the assignment and Kafka.
      def stats
        # At the end all are paused, and go without a word to back pressure.
        paused = @back_pressure ? @back_pressure.paused.keys & @assignment.partitions.keys : []
        @numbers.to_h(@client&.commits).merge(paused: paused, errors: @errors.count,
                                              join_state: @client&.membership&.state)
      end

      # Seconds that the oldest trouble has lasted, or a rebalance.
      def oldest_trouble_sec
        [@troubles.oldest_sec, unsteady_sec].max
      end

      # Without its state, which holds passwords.
      def inspect
        "#<#{self.class.name}>"
      end

      private

      def unsteady_sec
        @client&.membership&.unsteady_sec || 0
      end

      def run
        join_group
        turn until over?
        @result = wind_down
      rescue Exception => e # rubocop:disable Lint/RescueException
        @failure = e
      ensure
        leave_group
        @failure ||= @assignment.failure
        @events.publish(:stopped) { { done: @result == true && @failure.nil?, error: @failure } }
      end

      def new_pool(callbacks)
        Pool.new(**callbacks, **@options.manager, max_bytes: @options.max_bytes, policy: @options.policy,
                                                  acks: :latest, ack: method(:store), events: @events)
      end

      def new_in_flight_limit
        @limits = @options.manager
        InFlightLimit.new(@pool, *Settings.resolve(@limits).values_at(:concurrency, :max_in_flight))
      end

      # The application has changed them since.
      def adapt_to_limits
        @in_flight_limit = new_in_flight_limit
        @pool.concurrency = Settings.resolve(@limits).fetch(:concurrency)
        @back_pressure.limit_by(@in_flight_limit)
      end

      def look_out
        @troubles = Troubles.new(@options.named_topics, @assignment)
        @errors = ClientErrors.new(@options, @assignment, @troubles)
        let_in_at = -> { turned_at unless @quiet || over? }
        @lookout = Lookout.new(@assignment, @troubles, @options.fetch_time, @events, &let_in_at)
        @numbers = Numbers.new(@pool, @assignment, @lookout, @troubles)
        @lag_history = LagHistory.new { @numbers.lag }
        @lookout.on_round { @lag_history.note }
      end

      def join_group
        @client = @connect.call(@options.config, @assignment, @options.oauth_token)
        @checkpoints = Checkpoints.new(@pool, @client, @assignment, @lookout, @options.commit_interval)
        beginning = Beginning.new(@client, @pool, at_end: @options.begins_at_end?)
        @assignment.attach(@client, @checkpoints, beginning, @lookout)
        @back_pressure = BackPressure.new(@pool, @in_flight_limit, @client, @assignment, @pauses)
        @stall = Stall.new(@numbers, @assignment, @back_pressure)
        arrival = Arrival.new(@client, @options)
        arrival.await_broker { over? }
        return if over?

        arrival.check_dead_letter_topics
        @client.subscribe(@options.topics)
        @lookout.start(@client)
        @events.publish(:started) { @options.overview } unless @waiting
        (@waiting ||= Waiting.new(@options, @assignment)).joined
      end

      # What is wrong with a client that would stay as it is for ever, for the log; nil: nothing.
      def unfit
        return "This member takes part in no rebalance any more" if @client.membership.orphaned?(@assignment)

        @stall.complaint
      end

      def replace_client(reason)
        SafeLog.warn(message: "#{reason}: this member joins again")
        @assignment.part
        @assignment.proceed
        join_again
      end

      # With another client, as the group did not take the one before.
      def join_again
        @lookout.close
        Client.shielded { @client.close }
        @client = nil
        @turned_at = now
        sleep(Waiting::RETRY_WAIT) unless over? # a stop wakes it
        join_group unless over?
      end

      def over?
        @stops.positive? || @pool.shutting_down?
      end

      # One turn of the loop.
      def turn
        @turned_at = now
        @back_pressure.quiet! if @quiet
        adapt_to_limits unless @limits.equal?(@options.manager)
        @back_pressure.heed
        take_to_feed
        reason = unfit
        return replace_client(reason) if reason

        @quiet ? @unfed.clear : feed
        follow_group
        @checkpoints.look_for_due
        @waiting.tell
      rescue ShuttingDown
        raise unless over? # over: the pool shut down by itself since the loop last looked
      rescue Rdkafka::RdkafkaError => e
        @waiting.again?(e, @client.fatal_reason) ? join_again : raise
      end

      def follow_group
        version = @assignment.version
        @assignment.proceed
        follow_topics
        @lookout.hurry unless @assignment.version == version
      end

      # A topic that was made again is worked on from its first message.
      def follow_topics
        return if @assignment.changing?

        made_again = @lookout.topic_ids.made_again(@assignment.since)
        return if made_again.empty?

        @assignment.made_again(made_again)
        @stall.watch(made_again.keys)
      end

      def take_to_feed
        return @unfed.concat(take(@back_pressure.allowance_beside(now - @unfed_since), 0)) if @unfed.any?

        @unfed = take(@back_pressure.allowance)
        @unfed_since = now
      end

      # Feeds what it can in a moment: when sub keys take longer, the rest has its turn once librdkafka was polled.
      def feed
        return if @unfed.empty?

        began = now
        fed = @pool.feed(@unfed)
        return @assignment.begin_anew(@unfed.first) if fed.zero?

        @unfed.shift(fed)
        @back_pressure.fed(fed, now - began)
      end

      # Even if the partition comes back: then it is taken again from what is committed.
      def forget_unfed(gone)
        @unfed.reject! { |message| gone.key?(Assignment.name_of(message.topic, message.partition)) }
      end

      def take(count, wait = idle_wait)
        version = @assignment.version
        @pool.expect(wait)
        messages = Client.shielded { @client.take(count, wait, @pool.bytes_left) }
        @pool.expect(0)
        messages.select! { |message| @assignment.ours?(message) } unless @assignment.version == version
        @errors.settle(@client.failures)
        messages = next_ones(messages) if @client.queries.astray.any?
        @troubles.came(messages)
        messages
      end

      # Without those that are not the next ones of a partition whose position is wrong.
      def next_ones(messages)
        of = messages.group_by { |message| Assignment.place_of(message) }
        (of.keys & @client.queries.astray.keys).each do |place|
          taken = @unfed.reverse_each.find { |message| Assignment.place_of(message) == place }
          of.delete(place) unless @assignment.next_ones?(place, of[place], taken)
        end
        of.values.flatten
      end

      def idle_wait
        @assignment.changing? ? BUSY_WAIT : [@pool.calm(IDLE_WAIT), BUSY_WAIT].max
      end

      # Called by the manager, but never for what was enqueued before its partition went.
      def store(name, _offset)
        place = @assignment[name]
        place ? @checkpoints.store(name, place) : false
      end

      # Keeps polling while running work finishes, so that rebalances are answered; what comes in meanwhile is left to
      # other consumers.
      def wind_down
        @stop_limit = now + @options.shutdown_timeout
        @back_pressure.quiet!
        drop_what_waits
        until (done = @pool.wind_down(BUSY_WAIT / 1000.0)) || now >= @stop_limit || @stops > 1
          take(@back_pressure.allowance, BUSY_WAIT) if @client # which may have gone, and not come back
          @assignment.proceed
          @pool.drop_waiting if @pool.held? # it would not be worked on in time
          @turned_at = now
        end
        @pool.shutdown if done
        @pool.raise_fatal
        done && !(@drain && @pool.stats[:in_flight].positive?)
      end

      # The next owner of the partitions gets what is dropped.
      def drop_what_waits
        before = @pool.stats[:total_dropped]
        @pool.drop_resting
        @pool.drop_beyond unless @drain # what waits below finished offsets keeps these from being committed
        stats = @pool.stats
        left = { dropped: stats[:total_dropped] - before, **stats.slice(:waiting, :running) }
        SafeLog.info(message: "Stopping", **left)
        @events.publish(:stopping) { left }
      end

      # What still runs is fenced first, so that nothing is stored in a client that is closed.
      def leave_group
        rows, lost = [@pool.checkpoints(@assignment.held), @assignment.unconfirmed].map do |of|
          of.reject { |(topic, _), _| @troubles.gone?(topic) }
        end
        @assignment.leave_all
        @pool.request_shutdown
        expect_confirmed(rows, lost) if @client
      ensure
        @lookout.close
        departure.leave if @client
        @pool.close(CLOSING_TIME)
      end

      def departure
        @departure ||= Departure.new(@client, @assignment, static: @options.static?)
      end

      def expect_confirmed(rows, lost)
        return if departure.confirmed?(rows, lost, @stop_limit || now) { @stops > 1 }

        @result = false
        SafeLog.warn(message: "The last commit was not confirmed")
      end
    end

    private_constant :PollLoop
  end
end
