# frozen_string_literal: true

require_relative "../work_shaper"

begin
  require "rdkafka"
rescue LoadError => e
  needed = "work_shaper/consumer needs the rdkafka gem"
  raise LoadError, "#{needed}, 0.22.2 or newer: bundle add rdkafka" if e.path == "rdkafka"

  raise LoadError, "#{needed}, which is there, but cannot be loaded: #{e.message}. Install the one that is built " \
                   "here: gem install rdkafka --platform ruby; with Bundler: " \
                   "bundle config set force_ruby_platform true && bundle install"
end

require_relative "consumer/options"
require_relative "consumer/dead_letters"
require_relative "consumer/handling"
require_relative "consumer/pool"
require_relative "consumer/client_config"
require_relative "consumer/oauth_token"
require_relative "consumer/offset_list"
require_relative "consumer/rebalance"
require_relative "consumer/commit_results"
require_relative "consumer/requests"
require_relative "consumer/queries"
require_relative "consumer/membership"
require_relative "consumer/group_offsets"
require_relative "consumer/client"
require_relative "consumer/beginning"
require_relative "consumer/checkpoints"
require_relative "consumer/handover"
require_relative "consumer/assignment"
require_relative "consumer/in_flight_limit"
require_relative "consumer/crowding"
require_relative "consumer/pauses"
require_relative "consumer/back_pressure"
require_relative "consumer/arrival"
require_relative "consumer/waiting"
require_relative "consumer/departure"
require_relative "consumer/reachability"
require_relative "consumer/troubles"
require_relative "consumer/client_errors"
require_relative "consumer/topic_ids"
require_relative "consumer/stall"
require_relative "consumer/lookout"
require_relative "consumer/numbers"
require_relative "consumer/lag_history"
require_relative "consumer/poll_loop"
require_relative "consumer/signals"

module WorkShaper
  # Consumes Kafka topics as a member of a group, many messages at a time: those of one sub key one after the other,
  # different sub keys side by side. Offsets are committed as their work is finished, each only when all lower ones of
  # its partition are.
  #
  # @example
  #   require "work_shaper/consumer"
  #
  #   WorkShaper::Consumer.new(
  #     config: { "bootstrap.servers": "localhost:9092", "group.id": "orders" },
  #     topics: "orders",
  #     concurrency: 50
  #   ) { |message| Order.handle(message) }.run # until INT or TERM
  class Consumer
    # @param config [Hash, Rdkafka::Config] librdkafka's settings, including `bootstrap.servers` and `group.id`. The
    #   rebalance listener of an Rdkafka::Config is called on the polling thread, after the consumer has handled a
    #   rebalance; if it raises, {#run} ends and raises the same exception
    # @param topics [String, Array<String>] names, or patterns that start with "^"
    # @param sub_key [#call(message), nil] gives a message's sub key, anything that can be a Hash key; nil: the
    #   message's key. Messages whose sub key is nil are worked on in no particular order. It is called on the polling
    #   thread, for each message as it comes in, so it must be quick (no I/O). If it raises, that counts as if the
    #   message's work had raised, and it is called again at each try, on the worker
    # @param on_error [#call(exception, message, partition, offset), nil] is told of every try that failed; it decides
    #   nothing. If left out, the error is logged
    # @param around [#call(message, &work), nil] is called for each message and must call the block; a lambda must take
    #   it as a parameter, a Method may yield. In a Rails application it runs inside the executor, like all callbacks
    #   on a worker
    # @param drain [Boolean] whether to finish the messages that wait, too, when asked to stop; otherwise only those
    #   that run
    # @param shutdown_timeout [Numeric] seconds that {#run} waits for work when asked to stop
    # @param signals [Boolean] whether {#run} handles the signals INT, TERM, QUIT, TSTP and TTIN
    # @param oauth_token [#call, nil] for SASL/OAUTHBEARER: is called when a token is needed, now and before it expires,
    #   on the polling thread and on that of the producer of dead letters. Returns a Hash of what rdkafka's
    #   oauthbearer_set_token takes: token, lifetime_ms (when it expires, in milliseconds since 1970), principal_name
    #   and extensions (a Hash, may be left out). nil: rdkafka's own callback is called, as ever
    # @param settings [Hash] see the options; what is not passed comes from the environment as for {Manager}
    # @option settings [Integer, String] :concurrency (25) maximum number of worker threads
    # @option settings [Integer, String] :max_in_flight (10_000) approximate maximum of messages that are taken and not
    #   yet finished; usually far fewer, as many as keep the workers busy
    # @option settings [Integer, String] :max_in_queue (1_000) about the most messages that wait on one sub key
    #   (`WORK_SHAPER_MAX_IN_QUEUE`); when a slow one has more, its partition is paused
    # @option settings [Integer, String] :max_bytes (64 MiB) about the most that the payloads, keys and headers of
    #   messages that are taken and not finished may weigh (`WORK_SHAPER_MAX_BYTES`). One larger message is let in alone
    # @option settings [Integer, String] :offset_commit_period_ms (5) milliseconds between two rounds of storing offsets
    # @option settings [Integer, String, nil] :heartbeat_period_sec (60) seconds between two reports in the log
    # @option settings [Numeric, String, nil] :start_timeout (10) seconds within which a broker must answer when {#run}
    #   begins (`WORK_SHAPER_START_TIMEOUT`); nil: no limit. What librdkafka says is wrong ends it sooner
    # @option settings [Numeric, String] :revoke_timeout (5) seconds for which what runs may go on when the group gives
    #   its partition to another member (`WORK_SHAPER_REVOKE_TIMEOUT`): it is committed before the other one begins. 0:
    #   none. It must be below session.timeout.ms and max.poll.interval.ms
    # @option settings [Boolean, String] :open_telemetry (false) whether each try is a span, with `around` inside it
    #   (`WORK_SHAPER_OPEN_TELEMETRY`, "true" or "1"): see {OpenTelemetry.tracer}, which can also be passed as around
    # @option settings [Integer, String, Hash, nil] :web (nil) where the process is to serve {Web} while it runs
    #   (`WORK_SHAPER_WEB`), with the webrick gem: a port, on loopback (`9394`), or an address (`"0.0.0.0:9394"`),
    #   beyond loopback without the page and the numbers behind it; or a Hash of `address`, `page` (whether to have
    #   them all the same, `WORK_SHAPER_WEB_PAGE`), and `max_age` and `keys` for {Web}
    # @option settings [Integer, String, :unlimited] :attempts (:unlimited) how often the work of a message is tried in
    #   all (`WORK_SHAPER_ATTEMPTS`); with a limit, give_up must be given. Meanwhile its sub key waits, others go on
    # @option settings [Range, Numeric, #call(attempt, error)] :wait (1..60) as for {Manager}, like jitter, breaker,
    #   timeout and stuck_after
    # @option settings [String, :skip, :stop, #call(failure)] :give_up what becomes of a message whose attempts are used
    #   up: it is sent to that topic; its offset is finished; {#run} raises {GaveUp}; or what the callable returns
    # @option settings [Hash] :rules what to do about certain errors: class, module or proc to an action as for give_up,
    #   or to a Hash of attempts, wait, jitter and give_up. The first that matches counts
    # @option settings [Array<String>] :dead_letter_topics further topics that a callable give_up may return
    # @param producer [#produce, #produce_async, nil] sends dead letters; nil: one that is made of the config
    # @param dead_letter_headers [#call(failure), nil] returns the headers that a dead letter gets in place of ours
    # @yieldparam message [Message] the message to work on; the block is called in a worker thread
    # @raise [ArgumentError, TypeError] an argument is missing, unknown or invalid; the message says what is accepted
    # @raise [LoadError] open_telemetry or web is asked for, and there is no opentelemetry-api or webrick gem
    def initialize(config:, topics:, sub_key: nil, on_error: nil, around: nil, drain: false, shutdown_timeout: 25,
                   signals: true, oauth_token: nil, producer: nil, dead_letter_headers: nil, **settings, &work)
      raise ArgumentError, "no block given; it does the work of a message" unless work

      @work = Callbacks.check(:block, work)
      @options = Options.new(config: config, topics: topics, shutdown_timeout: shutdown_timeout,
                             oauth_token: oauth_token, settings: settings)
      Client.check(@options.config)
      @sending = { config: @options.config, producer: producer, headers: dead_letter_headers, oauth_token: oauth_token }
      DeadLetters.new(**@sending) { nil } # checks them
      @sub_key = Callbacks.check(:sub_key, sub_key) unless sub_key.nil?
      @around = around_or_tracer(around)
      @on_error = Callbacks.check(:on_error, on_error) unless on_error.nil?
      @drain = drain
      @signals = signals && !Census.gathering? # whoever gathers has them
      @signals_before = Signals.stops
      @commands = Thread::Queue.new
      @pauses = Pauses.new
      @lock = Mutex.new
      @over = false
      Census.made(self)
    end

    # Joins the group and works until asked to stop: by {#stop} or, unless `signals: false` was given, by INT, TERM or
    # QUIT (a second one stops it at once, without waiting for what runs). TSTP ends only the intake, permanently; TTIN
    # logs the backtraces of all threads, and which message each worker has. All consumers of the process that handle
    # signals get them; a stop, those that begin only then, too, if they were made before it came, or others that it
    # stops have not ended yet. An exception raised into the calling thread also stops the consumer, and a second one
    # hurries it; the last exception propagates once nothing of the consumer runs any more except work that it did not
    # wait for.
    #
    # With KIP-848 a `group.instance.id` is refused for as long as the group does not know that the process which had it
    # before is dead: run tries again until that one's session must be over, and says so in the log.
    #
    # A consumer can run only once.
    #
    # @return [Boolean] whether all that ran was finished and committed within the timeout
    # @raise [NoBroker] no broker answered
    # @raise [NotAllowed] the brokers do not accept the user name, password or token
    # @raise [NoTopic] a topic does not exist
    # @raise [Error] it has run already; or the address for `web` cannot be opened
    # @raise [Rdkafka::RdkafkaError] librdkafka had a fatal error, or offsets could not be stored
    # @raise [StandardError] what the caller's own rebalance listener raised
    # @raise [ThreadError] no thread could be started
    # @raise [GaveUp] a message was given up, and that means to stop; the cause is what its work raised
    # @raise [SystemExit, SignalException, NoMemoryError] the work of a message did
    # @example
    #   exit(1) unless consumer.run
    def run
      raise Error, "work_shaper run runs all consumers that are made; do not call run" if Census.gathering?

      claim
      @began_at = Time.now
      SafeLog.info(message: "Starting", **overview)
      told_of do
        @poll_loop = PollLoop.new(@options, callbacks, drain: @drain, pauses: @pauses)
        Census.begun(self)
        RailsExecution.let_reload
        supervise
      end
      raise @poll_loop.failure if @poll_loop.failure
      raise Error, "the polling thread was killed" if @poll_loop.result.nil?

      @poll_loop.result
    end

    # Asks {#run} to end: no more messages are taken, what runs is finished, offsets are committed. A second call tells
    # it not to wait for what runs. Can be called from anywhere, including trap handlers, and even before {#run}.
    #
    # @return [nil]
    # @example
    #   Signal.trap("USR1") { consumer.stop }
    def stop
      command(:stop)
      nil
    end

    # The state of the consumer at this moment; asks nobody. It has what {Manager#stats} has, with partitions named
    # "topic/partition": a row for each that is ours, in which there are also `position` (the next offset to be taken),
    # `committed` (as the broker confirmed), `end` (for a reader with our isolation.level) and `lag` (what is left to
    # work on: messages taken and not acknowledged, and the offsets from position to end). Each is nil when not known;
    # they are asked for in the background, about every second. And
    #
    # * `assignment`, `paused`: names of the partitions that are ours, and of those that are paused because there is no
    #   room, because they take up that of others, after TSTP, or by {#pause}
    # * `durations`: those of {Manager#stats} by topic
    # * `repeated_if_killed` (also in each row of `partitions`): how many messages would be given again if the process
    #   were killed now: those whose work has begun, and is not both finished and committed
    # * `bytes`: what the messages that wait or run weigh: their payloads, keys and headers
    # * `oldest_age_sec`: age of the oldest message that is taken and not finished, or nil
    # * `troubles`: what keeps messages from coming, by topic or partition ("orders", "orders/0"): `error` (the name of
    #   librdkafka's error, a Symbol) and `since` (Time)
    # * `errors`: how many errors librdkafka reported that did not end the consumer
    # * `kafka`: `reachable` (Boolean), `since` (Time)
    # * `join_state`: librdkafka's word for how it stands with its group, every five seconds; "steady": well. nil: not
    #   known yet, or with `statistics.interval.ms` 0
    # * `commits`: `last_confirmed_at` (Time or nil), `confirmed`, `refused`: how many commits were
    #
    # @return [Hash{Symbol => Object}] empty before {#run}
    # @example
    #   consumer.stats[:partitions]["orders/0"][:lag] #=> 17
    def stats
      @poll_loop ? @poll_loop.stats : {}
    end

    # Takes nothing more of a partition until {#resume}, even if it goes and comes back to this consumer, or has yet to
    # come. What was taken is worked on; other partitions go on. Not to be called in a trap handler.
    #
    # @param topic [String]
    # @param partition [Integer]
    # @return [nil]
    # @raise [TypeError, ArgumentError]
    # @example
    #   consumer.pause("orders", 3)
    def pause(topic, partition)
      @pauses.add(topic, partition)
      nil
    end

    # Goes on with a partition where {#pause} has stopped it; nothing is left out.
    #
    # @param topic [String]
    # @param partition [Integer]
    # @return [nil]
    # @raise [TypeError, ArgumentError]
    # @example
    #   consumer.resume("orders", 3)
    def resume(topic, partition)
      @pauses.remove(topic, partition)
      nil
    end

    # Changes how many worker threads there are at most, while it runs, too. Those that are too many end when they have
    # finished what they do.
    #
    # @param count [Integer, String]
    # @raise [TypeError, ArgumentError]
    # @example
    #   consumer.concurrency = 100
    def concurrency=(count)
      @options.change(:concurrency, count)
    end

    # Changes how many messages may be taken and not finished, while it runs, too.
    #
    # @param count [Integer, String]
    # @raise [TypeError, ArgumentError]
    # @example
    #   consumer.max_in_flight = 1_000
    def max_in_flight=(count)
      @options.change(:max_in_flight, count)
    end

    # What each worker does at this moment: a Hash of `topic`, `partition`, `offset`, `sub_key` (nil: it has none) and
    # `message`, the `attempt`, for how many `seconds` (short by up to a tenth), the name of the `worker`, and its
    # `backtrace`, the ten innermost frames.
    #
    # @return [Array<Hash{Symbol => Object}>] empty when it does not run
    # @example
    #   consumer.running.max_by { |work| work[:seconds] }
    def running
      @poll_loop ? @poll_loop.pool.running : []
    end

    # Whether it runs, its poll loop turns and no work is stuck: for a liveness probe. What waits to be tried again, for
    # the breaker or for a dead letter to be confirmed does not make it unhealthy, nor does an outage of Kafka. A topic
    # that is gone or must not be read, a partition that cannot be read and a rebalance that does not end do, once that
    # has lasted.
    #
    # @param max_silence [Numeric] the most seconds that may have passed since the last turn of the loop
    # @param max_age [Numeric] the most seconds that one try may have run, or one of the `troubles` may have lasted
    # @return [Boolean]
    # @example
    #   consumer.healthy?(max_silence: 10)
    def healthy?(max_silence: 30, max_age: 600)
      running? && @poll_loop.result.nil? && @poll_loop.failure.nil? && @poll_loop.silence <= max_silence &&
        @poll_loop.pool.oldest_try_sec <= max_age && @poll_loop.oldest_trouble_sec <= max_age
    end

    # Why no messages can come to it: it does not run, or stops; Kafka does not answer; the group has not said yet which
    # partitions are its own, or has taken them all back and makes up its mind; or a rebalance takes over a minute.
    #
    # @return [String, nil] nil: it is ready
    # @example
    #   warn consumer.unready if consumer.unready
    def unready
      running? ? @poll_loop.unready : "it does not run"
    end

    # @return [Exception, nil] what {#run} has raised
    # @example
    #   consumer.failure&.message
    def failure
      @poll_loop&.failure
    end

    # @return [String] its group.id
    # @example
    #   consumer.group #=> "orders"
    def group
      @options.config["group.id"]
    end

    # The topics, the group and whether it runs; nothing else of the config, which may hold passwords.
    #
    # @return [String]
    # @example
    #   consumer.inspect #=> '#<WorkShaper::Consumer orders as "group", running>'
    def inspect
      "#<#{self.class} #{@options.topics.join(", ")} as #{group.inspect}#{", running" if running?}>"
    end

    private

    attr_reader :ended_at

    # What {Web} shows beside the stats.
    def closer_look
      look = @poll_loop.pool.closer_look
      { **look, settings: { **@options.in_force, drain: @drain }, began_at: @began_at, silence_sec: @poll_loop.silence,
                history: { **look[:history], lag: @poll_loop.lag_history.to_a } }
    end

    def around_or_tracer(around)
      around = Callbacks.check(:around, around) unless around.nil?
      @options.open_telemetry ? OpenTelemetry.tracer(group: @options.config["group.id"], around: around) : around
    end

    # What can be told of the config.
    def overview
      @options.overview
    end

    def claim
      @lock.synchronize do
        raise Error, "a consumer runs once: make another" if @pid

        @pid = Process.pid
      end
    end

    # False in a forked child.
    def running?
      !@poll_loop&.thread.nil? && !@over && Process.pid == @pid
    end

    def callbacks
      { sub_key: @sub_key, block: @work, around: @around, sending: @sending,
        on_error: @on_error && lambda do |error, message, _partition, offset|
          @on_error.call(error, message, message.partition, offset)
        end }
    end

    # The signals, and systemd's wish to know, are the application's own where it does not leave the process to us.
    def told_of(&block)
      return Web.serve(@options.web, &block) unless @signals

      Signals.trapped(@commands, @signals_before) { Systemd.told { Web.serve(@options.web, &block) } }
    end

    def supervise
      wait_for_commands do
        execute(@commands.pop) until @commands.empty? # who is to stop already need not join the group
        Thread.handle_interrupt(Object => :never) do
          @poll_loop.start do
            @over = true
            @commands << :over # wakes the thread that waits for a command
          end
          @poll_loop.thread.thread_variable_set(Census::CONSUMER, self)
        end
      end
    ensure
      @poll_loop.join
      @over = true # even if it could not start
      @ended_at = Time.now
      Census.failed_with(self) if failure
      SafeLog.flush
      Events.flush
    end

    # Executes commands until the poll loop is over. When an exception is raised into this thread, or it is killed, it
    # asks the poll loop to stop and waits again, so that the next one hurries the stop. (In between there is no point
    # at which Ruby would let that next one in.)
    def wait_for_commands
      yield
      execute(@commands.pop) until @over
    ensure
      wait_for_commands { interrupted } unless @over || !@poll_loop.thread
    end

    # A child that a trap handler forked has nothing to wait for.
    def interrupted
      Process.pid == @pid ? @poll_loop.stop : @over = true
    end

    def command(name)
      @commands << name
    end

    def execute(command)
      case command
      when :stop then @poll_loop.stop
      when :quiet then @poll_loop.quiet
      when :backtraces then log_backtraces
      end
    end

    # With the place of the message that each worker has, not its sub key.
    def log_backtraces
      Thread.list.each do |thread|
        SafeLog.warn(message: "Backtrace", thread: thread.inspect, **@poll_loop.pool.work_of(thread),
                     backtrace: thread.backtrace)
      end
    end
  end
end
