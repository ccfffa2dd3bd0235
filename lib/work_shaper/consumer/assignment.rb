# frozen_string_literal: true

module WorkShaper
  class Consumer
    # The partitions that are ours, and how they come and go. librdkafka asks for a change while messages are taken or
    # the client is closed, always on the polling thread, and waits until it is carried out: by {#proceed}, between two
    # turns of the poll loop, so that partitions that go can be handed over (see {Handover}). What cannot wait, since
    # the partitions are lost or everything is over, is carried out at once, inside librdkafka, where as little happens
    # as possible.
    #
    # @private
    class Assignment
      include Clock

      # @return [Hash{String => Array(String, Integer)}] topic and partition by the manager's name for them
      attr_reader :partitions

      # @return [Integer] how many times it changed
      attr_reader :version

      # @return [Numeric] monotonic seconds when librdkafka was told last of partitions that went, or of what came right
      #   after them: then it joins the group again (cooperative)
      attr_reader :rejoined_at

      # @return [Hash{Array(String, Integer) => Integer}] the version in which each partition came, or began anew
      attr_reader :since

      # What was raised while librdkafka called us (it would swallow that), or by the caller's listener.
      attr_reader :failure

      # @return [Hash{Array(String, Integer) => OffsetList::Committed}] what should have been committed of partitions
      #   that went, and may not be
      attr_reader :unconfirmed

      # @param pool [Pool] forgets the partitions that go
      # @param listener [Object, nil] the caller's own rebalance listener, called after us
      # @param revoke_timeout [Numeric] seconds for which what runs of partitions that go may go on
      # @param events [Events::Publisher]
      def initialize(pool, listener, revoke_timeout, events)
        @pool = pool
        @listener = listener
        @revoke_timeout = revoke_timeout
        @events = events
        @partitions = @since = {}.freeze
        @anew = {} # where those went on that began anew
        @version = 0
        @rejoined_at = -Float::INFINITY
        @member = false
        @unconfirmed = {}
        @revoke_hooks = []
        @restart_hooks = []
        @changes = []
        @deferred = []
      end

      # What it needs to be asked for changes, once there is a client.
      #
      # @param client [Client]
      # @param checkpoints [Checkpoints]
      # @param beginning [Beginning]
      # @param lookout [Lookout]
      def attach(client, checkpoints, beginning, lookout)
        @client = client
        @checkpoints = checkpoints
        @beginning = beginning
        @lookout = lookout
        @parted = false
      end

      # Calls the block with the partitions that go, as soon as nothing more is taken of them.
      def on_revoked(&block)
        @revoke_hooks << block
      end

      # Calls the block with the partitions of which what was taken and not fed is taken again, or never.
      def on_restarted(&block)
        @restart_hooks << block
      end

      # librdkafka asks for a change.
      #
      # @param change [Rebalance::Change]
      def rebalance(change)
        guarded do
          @changes << change
          carry_out while @changes.any? && (closing? || change.lost?)
        end
      end

      # Goes on with the change that librdkafka waits for, and tells the log and the caller's own listener of those that
      # were carried out. Not to be called inside librdkafka: whatever they do there could not be interrupted, and
      # threads that they start there never could be.
      def proceed
        go_on if @changes.any?
        @deferred.shift.call until @deferred.empty?
      rescue StandardError => e
        @failure ||= e
      end

      # Whether the group has said which partitions are ours, if any, and has not taken all of them back since.
      def member?
        @member
      end

      # Whether librdkafka waits for a change.
      def changing?
        @changes.any?
      end

      # The offsets of a partition that stays ours went back, or began below what is committed: its topic was made anew,
      # or its log was cut short. What was taken before belongs to another log, and the group goes on from here.
      #
      # @param message [Message] the first that was taken from where it goes on
      def begin_anew(message)
        forget_log(Assignment.place_of(message), message.offset,
                   "Offsets went back: the topic was made anew, or its log was cut short")
      end

      # Topics were deleted and made again: all of them is to be worked on, and what is finished of the old ones has no
      # meaning any more.
      #
      # @param topics [Hash{String => Array<Array(String, Integer)>}] their partitions that have been ours since before
      def made_again(topics)
        @unconfirmed = @unconfirmed.reject { |(topic, _), _| topics.key?(topic) }
        places = topics.values.flatten(1)
        return if places.empty?

        sought = seek(places.to_h { |place| [place, Queries::EARLIEST] }) # if not, the next look tries again
        places.each { |place| forget_log(place, 0, "The topic was made anew") } if sought
      end

      # Has those of the partitions go on where they are to whose position is wrong: with an error in a damaged batch it
      # goes to anywhere, from where librdkafka may even go back to the first offset, or on to the end. To be called
      # when they are paused; when messages of one come, see {#next_ones?}.
      #
      # @param topic_partitions [Array<Array(String, Integer)>]
      def put_right(topic_partitions)
        astray = topic_partitions & @client.queries.astray.keys
        seek(astray.to_h { |place| [place, next_offset(place)] }) if astray.any?
      end

      # Messages came of a partition whose position is wrong: has it go on behind them, if they are the next ones; else
      # where it is to, and what was taken of it is taken again.
      #
      # @param place [Array(String, Integer)]
      # @param messages [Array<Message>]
      # @param taken [Message, nil] the last one that was taken before and is not fed yet
      # @return [Boolean] whether they are
      def next_ones?(place, messages, taken)
        expected = taken ? taken.offset + 1 : next_offset(place)
        fit = [messages.first.offset, Queries::EARLIEST].include?(expected)
        fit ? @client.seek(place => messages.last.offset + 1) : seek(place => next_offset(place))
        fit
      end

      # Fences everything, permanently: no more offsets are stored.
      def leave_all
        @over = true
        guarded do
          carry_out while @changes.any?
          leave(withdraw(@partitions))
        end
      end

      # The same until there is another client, which may get them again: they are lost.
      def part
        @parted = true
        guarded do
          carry_out while @changes.any?
          leave(withdraw(@partitions), confirmed: false)
        end
        @member = false
      end

      # Whether its partition is ours, and not about to go.
      def ours?(message)
        @partitions.key?(Assignment.name_of(message.topic, message.partition))
      end

      # Topic and partition of one that is ours, even if it is about to go; or nil.
      def [](name)
        @partitions[name] || @handover&.partitions&.fetch(name, nil)
      end

      # Those that are ours, even if they are about to go.
      def held
        @handover ? { **@partitions, **@handover.partitions } : @partitions
      end

      # @return [Array(String, Integer)] topic and partition of a message
      def self.place_of(message)
        [message.topic, message.partition].freeze
      end

      def self.name_of(topic, partition)
        "#{topic}/#{partition}"
      end

      private

      def guarded
        yield
      rescue Exception => e # rubocop:disable Lint/RescueException -- librdkafka would swallow it
        @failure ||= e
      end

      # Whether the client is about to be closed: then nobody else carries out what it asks for.
      def closing?
        @over || @parted
      end

      def named(topic_partitions)
        topic_partitions.to_h { |topic, number| [Assignment.name_of(topic, number).freeze, [topic, number].freeze] }
      end

      def tell(event, message, **fields)
        @deferred << lambda do
          SafeLog.info(message: message, **fields)
          @events.publish(event) { fields }
        end
      end

      def warn_later(error)
        @deferred << -> { SafeLog.warn(message: "Kafka", error: error) } if error
      end

      # Has partitions go on from other offsets. What was taken and not fed is forgotten. Returns whether they do.
      def seek(offsets)
        refusal = @client.seek(offsets)
        if refusal
          SafeLog.warn(message: "Kafka", error: refusal)
        else
          partitions = named(offsets.keys)
          @restart_hooks.each { |block| block.call(partitions) }
        end
        refusal.nil?
      end

      # The first offset that was not fed.
      def next_offset(place)
        next_known_offset(place) || @lookout.committed[place] || Queries::EARLIEST
      end

      # The same; nil: nothing was since the partition came.
      def next_known_offset(place)
        @pool.next_offset(Assignment.name_of(*place)) || @anew[place]
      end

      def forget_log(place, offset, message)
        name = Assignment.name_of(*place)
        dropped = @pool.revoke(name).size
        @since = @since.merge(place => @version += 1).freeze
        @anew[place] = offset
        @lookout.topic_ids.forget(place)
        @client.rewind(*place, offset)
        SafeLog.warn(message: message, partition: name, offset: offset, dropped: dropped)
      end

      # The partitions that the next change takes from us.
      def going
        change = @changes.first
        return @partitions.slice(*named(change.topic_partitions).keys) unless change.coming?

        change.replacing? ? @partitions.except(*named(change.topic_partitions).keys) : {}
      end

      # Nothing more is taken of these partitions.
      def withdraw(gone)
        return gone if gone.empty?

        @partitions = @partitions.except(*gone.keys).freeze
        @since = @since.except(*gone.values).freeze
        @anew = @anew.except(*gone.values)
        @version += 1
        @revoke_hooks.each { |block| block.call(gone) } unless @over # paused ones stay so: nothing more may come
        gone
      end

      def go_on
        @handover ||= hand_over
        return carry_out if overtaken?

        carry_out(confirmed: @handover.confirmed?) if @handover.over?
      end

      # Whether the partitions that are handed over have other owners already. When topics change meanwhile, librdkafka
      # joins again without waiting for it (the eager protocol, at least up to 2.8), and asks for the next change. A
      # commit would be taken as one of that generation, and put the offsets of those owners back.
      def overtaken?
        @changes.size > 1 && !@changes.first.coming?
      end

      def hand_over
        gone = withdraw(going)
        @client.pause(gone.values) if gone.any?
        Handover.new(gone, @changes.first, @pool, @checkpoints, @revoke_timeout)
      end

      # @param confirmed [Boolean] whether what is finished is committed
      def carry_out(confirmed: false)
        change = @changes.first
        leave(@handover ? @handover.partitions : withdraw(going), confirmed: confirmed)
        arrive(change)
        @member = change.coming? || (@member && change.incremental?)
        tell_listener(change)
      ensure
        change.carry_out unless change.carried_out? # something was raised; librdkafka would wait for ever
        note_rejoin(change)
        @handover = nil
        @changes.shift
      end

      def note_rejoin(change)
        @rejoined_at = now if @some_went || !change.coming?
        @some_went = !change.coming?
      end

      def arrive(change)
        coming = change.coming? && !closing? ? named(change.topic_partitions) : {}
        warn_later(coming.empty? ? change.carry_out : begin_with(change, coming))
        come(coming) if change.coming? && !closing?
      end

      # Returns what librdkafka says is wrong.
      def begin_with(change, coming)
        begins = @beginning.of(coming.except(*@partitions.keys), @unconfirmed)
        offsets = { **begins.transform_values(&:offset), **restart(@partitions.slice(*coming.keys)) }
        change.carry_out(offsets).tap { begins.each { |place, row| @client.store(*place, *row) } }
      end

      # librdkafka takes these partitions away and gives them back at once. Returns where they go on: nothing of them is
      # repeated.
      def restart(staying)
        @restart_hooks.each { |block| block.call(staying) } if staying.any?
        staying.values.to_h { |place| [place, next_known_offset(place)] }.compact
      end

      def come(partitions)
        fresh = partitions.except(*@partitions.keys)
        @partitions = @partitions.merge(fresh).freeze
        @version += 1
        @since = @since.merge(fresh.values.to_h { |place| [place, @version] }).freeze
        @lookout.topic_ids.resumed(@since.slice(*(fresh.values & @beginning.resumed)))
        @unconfirmed = @unconfirmed.except(*fresh.values)
        @client.queries.sought(fresh.values)
        tell(:assigned, "Assigned", partitions: fresh.keys) if fresh.any?
      end

      def leave(gone, confirmed: true)
        return if gone.empty?

        @unconfirmed = { **@unconfirmed, **@pool.checkpoints(gone) } unless confirmed || @over
        running = gone.keys.sum { |name| @pool.running_of(name) } # goes on, and is repeated by the next owner
        dropped = (@handover&.dropped || 0) + gone.keys.sum { |name| @pool.revoke(name).size }
        @client.commits.uncover(gone.values)
        @client.resume(gone.values) if @handover # librdkafka would remember the pause when they come back
        tell(:revoked, "Revoked", partitions: gone.keys, dropped: dropped, running: running)
      end

      def tell_listener(change)
        event = change.coming? ? :on_partitions_assigned : :on_partitions_revoked
        return if !@listener.respond_to?(event) || (closing? && change.coming?)

        @deferred << -> { @listener.public_send(event, change.list) }
      end
    end

    private_constant :Assignment
  end
end
