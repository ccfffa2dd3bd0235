# frozen_string_literal: true

module WorkShaper
  module CommandLine
    class Replay
      # One replay: takes letters, sends those that are to be sent, and commits how far it is, batch by batch, up to
      # where the partitions ended when it began.
      #
      # @private
      class Course
        include Clock

        BATCH = 500 # letters at most that are sent between two commits
        JOIN_TIME = 60 # seconds; a replay that was killed is a member until its session is over
        SILENCE = 60 # seconds in which nothing comes
        ANSWER_TIME = 10_000 # milliseconds for what is committed, and for a commit

        NAME = /\A[A-Za-z0-9._-]{1,249}\z/ # of a topic, as Kafka has it

        # What is to be sent: the letters in a topic, to their origins or all to one topic, of any class of error or of
        # one.
        Plan = Struct.new(:topic, :to, :error)

        # @return [Tally]
        attr_reader :tally

        # @param admin [Consumer::Admin] a client that has yet to join the group
        # @param share [Share]
        # @param plan [Plan]
        # @param partitioner [Partitioner]
        # @param outbox [Outbox, nil] nil: nothing is sent or committed
        def initialize(admin, share, plan, partitioner, outbox)
          @admin = admin
          @share = share
          @plan = plan
          @partitioner = partitioner
          @outbox = outbox
          @tally = Tally.new
          @counts = {}
          @ends = {}
          @ledgers = {}
        end

        # @yieldparam passed [Integer] how many offsets it has gone through
        # @yieldparam size [Integer] of so many
        # @yieldreturn [Boolean] whether it is to stop, with what was sent committed
        # @return [nil]
        # @raise [Error] something could not be sent, or committed
        def run(&stop)
          @admin.partition_count(@plan.topic)
          @admin.partition_count(@plan.to) if @plan.to
          join(&stop)
          @heard_at = now
          turn(report(&stop)) until done?(&stop)
        ensure
          @share.leave
        end

        private

        def join
          @admin.client.subscribe([@plan.topic])
          @admin.await("an assignment for #{@admin.group_id}", JOIN_TIME) do
            @admin.take(1)
            @share.coming || report { |*numbers| yield(*numbers) }
          end
        end

        def report
          yield(@ledgers.sum { |_, ledger| ledger.passed }, @ledgers.sum { |_, ledger| ledger.size })
        end

        def done?(&stop)
          stopping = report(&stop)
          return stopping if @share.coming || @share.lost?

          @ledgers.values.all?(&:finished?) || (stopping && @ledgers.values.none?(&:open?))
        end

        def turn(stopping)
          @ledgers = {} if @share.lost?
          take_partitions if @share.coming
          messages = batch
          return if @share.coming || @share.lost? # what was taken may be another replay's now

          if messages.any?
            @heard_at = now
            work_on(messages, stopping)
          else
            look_for_ends
          end
        end

        # What is there, up to a batch.
        def batch
          messages = []
          until messages.size == BATCH
            more = @admin.take(BATCH - messages.size)
            break if more.empty?

            messages.concat(more)
          end
          messages
        end

        def take_partitions
          places = @share.coming.topic_partitions
          raise Error, "another replay of #{@plan.topic} has all of its partitions" if places.empty?

          @ledgers = ledgers(places)
          @committed = @ledgers.transform_values(&:row)
          refusal = @share.coming.carry_out(@ledgers.transform_values(&:base))
          raise Error, "the partitions could not be taken: #{refusal}" if refusal

          @share.taken
        end

        def ledgers(places)
          committed = @admin.client.committed(places, ANSWER_TIME)
          beginnings = @admin.beginnings(places)
          @ends = { **@admin.ends(places), **@ends }
          places.to_h do |place|
            first, last = [beginnings, @ends].map do |offsets|
              offsets[place] || raise(Error, "#{place.join("/")}: its leader does not say where it begins and ends")
            end
            [place, ledger(first, last, committed[place])]
          end
        end

        # What was committed of another log, or is deleted already, is no place to begin.
        def ledger(first, last, row)
          row = nil if row && row.offset > last
          base = [first, row&.offset].compact.max
          Ledger.new(base, last, (row if row&.offset == base))
        end

        # Behind the last message that is there may be what librdkafka skips, such as the end of a transaction.
        def look_for_ends
          left = @ledgers.reject { |_, ledger| ledger.finished? }
          positions = @admin.client.queries.positions(left.keys)
          left.each { |place, ledger| ledger.finish if positions[place] && positions[place] >= ledger.end }
          return if now - @heard_at < SILENCE

          raise Error, "nothing came of #{left.keys.map { |place| place.join("/") }.join(", ")} for #{SILENCE} s"
        end

        def work_on(messages, stopping)
          rows = messages.filter_map { |message| row(message, stopping) }
          letters = rows.filter_map { |_, letter, verdict| [letter, verdict] if verdict.is_a?(String) }
          check(letters, rows)
          result = @outbox && letters.any? ? @outbox.send_all(letters) : Outbox::Result.new(letters.map(&:first), nil)
          note(rows, result.confirmed)
          wrong = [result.error&.message, (commit if @outbox)].compact
          raise Error, wrong.join("; ") if wrong.any?
        end

        # A letter, its ledger, and the topic to which it goes, or a Symbol: why it does not.
        def row(message, stopping)
          ledger = @ledgers[[message.topic, message.partition]]
          return unless ledger&.covers?(message)

          letter = Letter.new(message)
          [ledger, letter, ledger.sent?(message) ? :sent_before : verdict(letter, stopping)]
        end

        def verdict(letter, stopping)
          return :stopping if stopping
          return :other if @plan.error && letter.error != @plan.error

          topic = @plan.to || letter.origin
          return :homeless if topic.to_s.empty?

          count(topic).positive? ? topic : :gone
        end

        # How many partitions a topic has.
        def count(topic)
          @counts[topic] ||= topic.match?(NAME) ? @admin.client.partition_count(topic) : 0
        end

        # Before any of them is sent.
        def check(letters, rows)
          @partitioner.check(letters.map(&:first)) { |topic| count(topic) } unless @plan.to
          trial = @ledgers.transform_values(&:dup)
          originals = @ledgers.invert.compare_by_identity
          rows.each { |ledger, letter, verdict| trial[originals[ledger]].note(letter.message, sent?(verdict)) }
          return if trial.each_value.all?(&:fits?)

          raise Error, "too many letters are left between those that were sent, more than can be remembered; " \
                       "see to those first: replay them, too, or skip them"
        end

        def sent?(verdict)
          verdict == :sent_before || verdict.is_a?(String)
        end

        def note(rows, confirmed)
          confirmed = confirmed.to_h { |letter| [letter, true] }.compare_by_identity
          rows.each do |ledger, letter, verdict|
            sent = verdict == :sent_before || confirmed.key?(letter)
            ledger.note(letter.message, sent)
            tell(letter, verdict, sent)
          end
        end

        def tell(letter, verdict, sent)
          case verdict
          when :sent_before then @tally.sent_before += 1
          when :other then @tally.others += 1
          when :homeless then @tally.unsendable["nothing says where they came from (#{Letter::TOPIC}); see --to"] += 1
          when :gone then @tally.unsendable["they came from #{letter.origin}, which does not exist"] += 1
          when String then @tally.sent[[verdict, letter.error]] += 1 if sent
          end
        end

        # Returns what is wrong.
        def commit
          rows = @ledgers.transform_values(&:row).reject { |place, row| row == @committed[place] }
          return if rows.empty?
          return "what was sent of the last #{BATCH} letters could not be committed" unless confirmed?(rows)

          @committed = { **@committed, **rows }
          nil
        end

        def confirmed?(rows)
          @admin.client.commit(rows, ANSWER_TIME)
        end
      end

      private_constant :Course
    end
  end
end
