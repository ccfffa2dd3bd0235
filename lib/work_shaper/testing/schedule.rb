# frozen_string_literal: true

module WorkShaper
  module Testing
    # What runs next. As the core's scheduler decides for many workers, here it is decided for one thread, so that the
    # order is one in which that many workers may end: they take the oldest message whose sub key is free, and any of
    # those that they have is the next to end; or time passes, until a message is to be tried again.
    #
    # @private
    class Schedule
      # @return [Integer] how often work has ended, well or not
      attr_reader :total_tries

      # @param subject [Subject]
      # @param intake [Intake] where messages come from
      # @param clock [Clock]
      # @param random [Random]
      # @yieldparam message [Message] one that was taken, to be offered if it is to be worked on
      def initialize(subject, intake, clock, random, &taken)
        @concurrency = subject.concurrency
        @max_in_flight = subject.max_in_flight
        @limit = [2 * @concurrency, @max_in_flight].min # grows when workers lack work, as InFlightLimit does
        @intake = intake
        @clock = clock
        @random = random
        @taken = taken
        @sub_keys = {}
        @ready = []    # sub keys whose first item may start, the oldest first
        @exempt = []   # those of them that may although work is held
        @resting = []  # sub keys whose first item waits for its time, the first to be due first
        @started = []  # items that workers have
        @unfinished = @sequence = @begun = @total_tries = 0
      end

      # @param key [Object] anything that can be a Hash key
      # @raise [Exception] what its hash or eql? raises
      def offer(key, message, partition)
        name = String === key ? key.b : key
        sub_key = @sub_keys[name] ||= SubKey.new(key, name.hash)
        sub_key.items << SubKey::Item.new(message, partition, message.offset, sub_key, @sequence += 1, 0)
        @unfinished += 1
        place(sub_key) if sub_key.items.size == 1
      end

      # The next item to be worked on; nil: nothing is left.
      #
      # @return [SubKey::Item, nil]
      def next
        loop do
          start
          time = next_time
          return if @started.empty? && time.nil?

          index = @random.rand(@started.size + (time ? 1 : 0))
          return begun(@started.delete_at(index)) if index < @started.size

          @clock.now = time if time > @clock.now
        end
      end

      # Its work is over.
      def finish(item)
        count_try(item)
        over(item)
      end

      # It is to be tried again, after so many seconds.
      def retry(item, seconds)
        count_try(item)
        sub_key = put_back(item)
        sub_key.due = @clock.now + seconds
        place(sub_key)
      end

      # It is never finished, nor is what waits behind it.
      def abandon(item)
        drop { |other| other.sub_key.equal?(item.sub_key) }
        over(item)
      end

      # What workers have waits again.
      #
      # @param newer [Boolean] only what they need not have taken yet: they take the oldest first, so that is what is
      #   newer than all that was tried so far
      def recall(newer: false)
        recalled, @started = @started.partition { |item| !newer || item.sequence > @begun }
        recalled.each do |item|
          @probe_due = true if item.probe && @held
          place(put_back(item))
        end
      end

      # Drops what waits, if the block says so.
      def drop(&which)
        @sub_keys.each_value do |sub_key|
          first = sub_key.items.first
          unplace(sub_key)
          gone, kept = sub_key.items.partition(&which)
          gone.each { |item| item.over = true }
          @unfinished -= gone.size
          sub_key.items.replace(kept)
          sub_key.due = nil unless kept.first.equal?(first)
          place(sub_key)
        end
      end

      # Drops what waits for its next try, with all behind it.
      def drop_resting
        drop { |item| item.sub_key.running.nil? && item.sub_key.items.first.tries.positive? }
      end

      def held?
        @held == true
      end

      # Nothing starts but one probe every so many seconds.
      def hold(seconds)
        @probed = 0 unless @held
        @held = true
        @probe_due = false
        @period = seconds
        @probe_at = @clock.now + seconds
      end

      def unhold
        @held = @probe_due = false
      end

      private

      def begun(item)
        @begun = [@begun, item.sequence].max
        item
      end

      # What workers take.
      def start
        wake
        while @started.size < @concurrency
          sub_key = startable
          next begin_with(sub_key) if sub_key
          break unless room? && (message = @intake.take)

          @taken.call(message)
        end
        grow
      end

      def startable
        return @exempt.first || @ready.first unless @held
        return @exempt.first if @exempt.any?

        @ready.find { |sub_key| sub_key.rank > @probed } || @ready.first if @probe_due
      end

      def begin_with(sub_key)
        unplace(sub_key)
        item = sub_key.items.shift
        item.again = item.giving_up?
        if @held && !item.again
          @probed = item.sequence
          @probe_due = false
          item.probe = true
        end
        sub_key.due = nil
        sub_key.running = item
        @started << item
      end

      # A breaker that is open takes nothing in, unless it has nothing to probe.
      def room?
        @held ? @probe_due && @ready.empty? : @unfinished < @limit
      end

      def grow
        lacking = @started.size < @concurrency && @unfinished >= @limit
        @limit = [2 * @limit, @max_in_flight].min if lacking
      end

      # When something changes by itself.
      def next_time
        probe_at = @probe_at if @held && !@probe_due && (@ready.any? || @resting.any? || @intake.any?)
        [@resting.first&.due, probe_at].compact.min
      end

      # Ends the rests that are over. When the time for a probe has come and all work rests, what is due first is woken.
      def wake
        end_rest(@resting.first) while @resting.any? && @resting.first.due <= @clock.now
        return unless @held && !@probe_due && @probe_at <= @clock.now

        first = @resting.find { |sub_key| !sub_key.exempt? } if @ready.empty?
        end_rest(first) if first
        @probe_due = true
        @probe_at = @clock.now + @period
      end

      def end_rest(sub_key)
        unplace(sub_key)
        sub_key.due = nil
        place(sub_key)
      end

      # What is given up again is no work.
      def count_try(item)
        @total_tries += 1 unless item.again
      end

      def over(item)
        item.over = true
        @unfinished -= 1
        item.sub_key.running = nil
        place(item.sub_key)
      end

      def put_back(item)
        item.probe = nil
        item.sub_key.running = nil
        item.sub_key.items.unshift(item)
        item.sub_key
      end

      # Puts a sub key where it belongs.
      def place(sub_key)
        return if sub_key.running || sub_key.items.empty?

        list = list_of(sub_key)
        by = list.equal?(@resting) ? :due : :rank
        value = sub_key.public_send(by)
        list.insert(list.bsearch_index { |other| other.public_send(by) > value } || -1, sub_key)
      end

      # Takes it out of there.
      def unplace(sub_key)
        return if sub_key.running || sub_key.items.empty?

        list = list_of(sub_key)
        list.delete_at(list.index(sub_key))
      end

      def list_of(sub_key)
        return @resting if sub_key.due

        sub_key.exempt? ? @exempt : @ready
      end
    end
  end
end
