# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Checks what a consumer is made with, so that bad input raises at once.
    #
    # @private
    class Options
      # Milliseconds between two statistics of librdkafka's. (Whoever asks for them passes another String.)
      STATISTICS = "5000"

      # What librdkafka is told unless the caller says otherwise. Its own defaults hold a fast consumer back: once its
      # queue was full, it looks again only after a second; and it commits what is stored only every five seconds. And
      # they let a new group begin at the end, which skips what is there before the consumer is. And whether topics are
      # there and may be read they look only every five minutes (what they know is to be kept as long as by default).
      DEFAULTS = {
        "fetch.queue.backoff.ms" => 10, "auto.commit.interval.ms" => 100, "auto.offset.reset" => "earliest",
        "topic.metadata.refresh.interval.ms" => 10_000, "metadata.max.age.ms" => 900_000,
        "statistics.interval.ms" => STATISTICS
      }.freeze

      # Settings that must have this value, and why.
      FIXED = {
        "enable.auto.offset.store" => [false, "offsets are stored when their work is finished"],
        "enable.auto.commit" => [true, "librdkafka commits what is stored, every auto.commit.interval.ms"],
        "enable.partition.eof" => [false, "its events make some versions of librdkafka skip a message"]
      }.freeze

      FETCH_WAIT = 500 # milliseconds, librdkafka's own fetch.wait.max.ms

      # One name of each list is needed.
      REQUIRED = [%w[bootstrap.servers metadata.broker.list], %w[group.id]].freeze

      # Those with the variable and the default that count when they are not passed, and what checks them.
      OWN = {
        max_bytes: ["WORK_SHAPER_MAX_BYTES", 64 * 1024 * 1024, RetryPolicy::Numbers.method(:bytes)],
        max_in_queue: ["WORK_SHAPER_MAX_IN_QUEUE", 1000, RetryPolicy::Numbers.method(:messages)],
        start_timeout: ["WORK_SHAPER_START_TIMEOUT", 10, RetryPolicy::Numbers.method(:seconds_or_none)],
        revoke_timeout: ["WORK_SHAPER_REVOKE_TIMEOUT", 5, RetryPolicy::Numbers.method(:seconds)],
        open_telemetry: ["WORK_SHAPER_OPEN_TELEMETRY", false, Settings.method(:switch)],
        web: ["WORK_SHAPER_WEB", nil, ->(value, source) { Web.endpoint(value, source) }]
      }.freeze

      # What librdkafka may hold ready, in kilobytes: a quarter of what we may hold; and its limit.
      QUEUED = "queued.max.messages.kbytes"
      MOST_QUEUED = 2_097_151

      # What revoke_timeout must be below, in milliseconds, and librdkafka's default.
      REVOKE_LIMITS = { "session.timeout.ms" => 45_000, "max.poll.interval.ms" => 300_000 }.freeze

      # Values of auto.offset.reset for which a partition without a commit begins at its end.
      AT_END = %w[latest largest end].freeze

      # Kafka's own topics, which a pattern leaves out: our commits make one of them grow.
      INTERNAL = "^__"

      # Before this version of librdkafka, patterns match nothing with KIP-848, and nothing says so (decision 050).
      PATTERNS_WITH_KIP848 = "2.10.0"

      # What of librdkafka's settings is shown. None of them can hold a secret.
      SHOWN = %w[
        allow.auto.create.topics auto.commit.interval.ms auto.offset.reset check.crcs client.id client.rack
        fetch.max.bytes fetch.message.max.bytes fetch.min.bytes fetch.queue.backoff.ms fetch.wait.max.ms
        group.protocol group.remote.assignor heartbeat.interval.ms isolation.level max.partition.fetch.bytes
        max.poll.interval.ms metadata.max.age.ms partition.assignment.strategy queued.max.messages.kbytes
        queued.min.messages reconnect.backoff.max.ms reconnect.backoff.ms sasl.mechanism sasl.mechanisms
        security.protocol session.timeout.ms socket.keepalive.enable socket.timeout.ms statistics.interval.ms
        topic.metadata.refresh.interval.ms
      ].freeze

      # librdkafka's own choice of partition.assignment.strategy.
      STRATEGIES = "range,roundrobin"

      # The settings of a manager that make sense here.
      MANAGER = %i[concurrency max_in_flight offset_commit_period_ms heartbeat_period_sec].freeze

      # What the caller passed to librdkafka, completed: names and values as Strings.
      attr_reader :config
      # The caller's rebalance listener, if the config was an Rdkafka::Config that has one.
      attr_reader :listener
      # What becomes of messages whose work failed.
      attr_reader :policy
      # Gives tokens for SASL/OAUTHBEARER; nil: rdkafka's callback is asked.
      attr_reader :oauth_token
      # Whether each try is traced.
      attr_reader :open_telemetry
      # Where probes and the page are served; nil: nowhere.
      attr_reader :web
      attr_reader :topics, :max_bytes, :shutdown_timeout, :start_timeout, :revoke_timeout, :manager

      def initialize(config:, topics:, shutdown_timeout:, oauth_token:, settings:)
        @config = complete(plain(config))
        @topics = check_topics(topics)
        complete_patterns if @topics.any? { |name| pattern?(name) }
        @shutdown_timeout = check_timeout(shutdown_timeout)
        @oauth_token = Callbacks.check(:oauth_token, oauth_token) unless oauth_token.nil?
        take_own(settings)
        words = settings.slice(*RetryPolicy::WORDS)
        @manager = check_manager(settings.except(*words.keys, *OWN.keys), own(:max_in_queue, settings))
        @policy = RetryPolicy.new(words, defaults: { attempts: :unlimited }, topics: true,
                                         on_trouble: SafeLog.method(:trouble))
      end

      # Changes a setting of the manager from now on; #manager is another Hash then.
      #
      # @raise [TypeError, ArgumentError]
      def change(name, value)
        Settings.resolve({ name => value })
        @manager = manager.merge(name => value)
      end

      # What the log says when a consumer begins: nothing of the config that could be a password.
      #
      # @return [Hash{Symbol => Object}]
      def overview
        limits = Settings.resolve(manager).slice(:concurrency, :max_in_flight)
        { work_shaper: VERSION, rdkafka: Rdkafka::VERSION, librdkafka: Rdkafka::LIBRDKAFKA_VERSION, ruby: RUBY_VERSION,
          servers: servers, group: config["group.id"], instance: (config["group.instance.id"] if static?),
          topics: topics, protocol: protocol, **limits, timeout: policy.timeout, shutdown_timeout: shutdown_timeout }
      end

      # All settings in force, for those who look. Of librdkafka's only some: any other one may be a password.
      #
      # @return [Hash{Symbol, String => Object}]
      def in_force
        overview.merge(Settings.resolve(manager).except(:acks), policy.overview, config.slice(*SHOWN),
                       max_bytes: max_bytes, start_timeout: start_timeout, revoke_timeout: revoke_timeout,
                       open_telemetry: open_telemetry)
      end

      # Where the brokers are, for messages.
      def servers
        REQUIRED.first.filter_map { |name| config[name] }.first
      end

      # The one of the topics consumed, name or pattern, that a topic belongs to; nil: none.
      def consumed_as(topic)
        topics.find { |name| pattern?(name) ? topic.match?(Regexp.new(name)) : name == topic }
      rescue RegexpError
        nil # librdkafka knows other expressions than Ruby
      end

      # The topics that are to be there.
      def named_topics
        topics_may_appear? ? [] : topics.reject { |name| pattern?(name) }
      end

      # Whether a topic that does not exist may appear by itself.
      def topics_may_appear?
        config["allow.auto.create.topics"] == "true"
      end

      # Seconds between two commits.
      def commit_interval
        Integer(config.fetch("auto.commit.interval.ms"), 10) / 1000.0
      end

      # Whether a partition without a commit begins at its end.
      def begins_at_end?
        AT_END.include?(config["auto.offset.reset"])
      end

      # Seconds for which a broker may keep its answer to a fetch back, and all answers behind it.
      def fetch_time
        config.fetch("fetch.wait.max.ms", FETCH_WAIT).to_i / 1000.0
      end

      # Whether the group keeps the member's partitions for it while it restarts.
      def static?
        !config["group.instance.id"].to_s.empty?
      end

      # Shows nothing of the config, which may hold passwords.
      # @return [String]
      def inspect
        "#<#{self.class}>"
      end

      private

      def protocol
        return "consumer" if config["group.protocol"] == "consumer"

        "classic (#{config.fetch("partition.assignment.strategy", STRATEGIES)})"
      end

      def plain(config)
        case config
        when Hash then config
        when Rdkafka::Config then plain_config(config)
        else raise TypeError, "config is #{config.inspect}; it must be a Hash or an Rdkafka::Config"
        end.to_h { |name, value| [name.to_s.dup, value.to_s.dup] }
      end

      def plain_config(config)
        @listener = config.instance_variable_get(:@consumer_rebalance_listener)
        hash = config.instance_variable_get(:@config_hash)
        return hash if hash.is_a?(Hash)

        raise Error, "rdkafka #{Rdkafka::VERSION}: its Rdkafka::Config is not as WorkShaper knows it; pass a Hash"
      end

      def complete(config)
        REQUIRED.each do |names|
          next if names.any? { |name| config.key?(name) && !config[name].empty? }

          raise ArgumentError, "config has no #{names.first.inspect}"
        end
        FIXED.each do |name, (value, reason)|
          next if [nil, value.to_s].include?(config[name])

          raise ArgumentError, "config has #{name.inspect} #{config[name]}; it must be #{value}: #{reason}"
        end
        DEFAULTS.merge(config, FIXED.transform_values(&:first)).transform_values(&:to_s)
      end

      def check_topics(topics)
        names = topics.is_a?(Array) ? topics : [topics]
        raise ArgumentError, "topics is empty; it must name at least one" if names.empty?

        names.each do |name|
          next if name.is_a?(String) && !name.empty?

          error = name.is_a?(String) ? ArgumentError : TypeError
          raise error, "topics has #{name.inspect}; each must be a String, a topic's name or \"^pattern\""
        end
        names.map { |name| name.dup.freeze }.uniq.freeze
      end

      def complete_queued
        @config[QUEUED] ||= (max_bytes / 4096).clamp(1, MOST_QUEUED).to_s
      end

      def pattern?(name)
        name.start_with?("^")
      end

      def complete_patterns
        refuse_unknown_patterns if config["group.protocol"] == "consumer"
        config["topic.blacklist"] ||= INTERNAL if topics.none? { |name| name.start_with?("__", "^__") }
      end

      def refuse_unknown_patterns
        version = Rdkafka::LIBRDKAFKA_VERSION
        return if Gem::Version.new(version) >= Gem::Version.new(PATTERNS_WITH_KIP848)

        raise ArgumentError, "topics has a pattern; with group.protocol consumer it would match nothing on " \
                             "librdkafka #{version}, only from #{PATTERNS_WITH_KIP848} on: name the topics, or use " \
                             "the classic protocol"
      end

      def check_timeout(seconds)
        number = seconds.is_a?(Numeric) && seconds.real?
        return seconds if number && seconds >= 0

        error = number ? ArgumentError : TypeError
        raise error, "shutdown_timeout is #{seconds.inspect}; it must be a number of seconds >= 0"
      end

      def take_own(settings)
        @max_bytes = own(:max_bytes, settings)
        complete_queued
        @start_timeout = own(:start_timeout, settings)
        @revoke_timeout = check_revoke_timeout(settings)
        @open_telemetry = own(:open_telemetry, settings)
        @web = own(:web, settings)
      end

      def own(name, settings)
        variable, default, check = OWN.fetch(name)
        return check.call(settings[name], name) if settings.key?(name)

        ENV.key?(variable) ? check.call(ENV[variable], variable) : default
      end

      # The default gives way to what the config says.
      def check_revoke_timeout(settings)
        name, limit = REVOKE_LIMITS.map { |key, default| [key, Integer(config.fetch(key, default), exception: false)] }
                                   .min_by { |_, milliseconds| milliseconds || Float::INFINITY }
        seconds = own(:revoke_timeout, settings)
        return seconds if limit.nil? || 1000 * seconds < limit

        given = settings.key?(:revoke_timeout) || ENV.key?(OWN[:revoke_timeout].first)
        return limit / 2000.0 unless given

        raise ArgumentError, "revoke_timeout is #{seconds}; it must be below #{name}, which is #{limit / 1000.0} s"
      end

      def check_manager(settings, max_in_queue)
        Settings.refuse_unknown(settings, [*MANAGER, *OWN.keys, *RetryPolicy::WORDS])
        Settings.resolve(settings)
        settings.merge(max_in_queue: max_in_queue)
      end
    end

    private_constant :Options
  end
end
