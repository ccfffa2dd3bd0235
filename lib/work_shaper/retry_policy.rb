# frozen_string_literal: true

require_relative "callbacks"
require_relative "errors"
require_relative "guard"
require_relative "settings"
require_relative "retry_policy/numbers"
require_relative "retry_policy/wait"
require_relative "retry_policy/actions"
require_relative "retry_policy/rules"
require_relative "retry_policy/breaker_words"
require_relative "retry_policy/words"

module WorkShaper
  # What is to become of a message whose work failed, in the user's words: whether it is tried again and when, and what
  # giving it up means. It only decides; {Recovery} carries out.
  #
  # Everything is checked when it is made. Afterwards nothing in it raises but {#action}, which says so; and nothing in
  # it changes, so all workers may ask it at the same time.
  #
  # @private
  class RetryPolicy
    # What is decided about one failed try: `seconds` (Float) until the next, or else nil; then `give_up` is a topic,
    # :skip, :stop or a callable.
    Decision = Struct.new(:seconds, :give_up, keyword_init: true)

    # The keywords that belong to it. dead_letter_topics is refused where there are no topics.
    WORDS = Words::ALL

    # @return [Integer, Float, nil] seconds that one try may take; nil: no limit
    attr_reader :timeout
    # @return [Integer, Float, nil] seconds after which a try counts as stuck; nil: never
    attr_reader :stuck_after
    # @return [Hash{Symbol => Object}, nil] share, of and wait, what {Breaker} is made with; nil: there is none
    attr_reader :breaker

    # @param action [Object] what giving up means
    # @return [String] how it is shown
    def self.name_of(action)
      case action
      when Symbol, String then action.to_s
      when nil then "not limited"
      else "a callable"
      end
    end

    # @param words [Hash{Symbol => Object}] what the user passed
    # @param defaults [Hash{Symbol => Object}] what goes before the usual defaults here
    # @param topics [Boolean] whether a message may be given up to a topic
    # @param environment [#[]] where variables are looked up
    # @param on_trouble [#call(text, exception), nil] is told when a rule or a callable wait raised, or a wait returned
    #   what it must not. It must not raise
    # @param random [#rand] where the jitter comes from
    # @param actions [Actions] what giving up can mean
    # @raise [ArgumentError] an unknown word, or a bad value
    # @raise [TypeError] a value of the wrong type
    # @example
    #   RetryPolicy.new({ attempts: 8, give_up: "orders-dead" }, defaults: { attempts: :unlimited }, topics: true)
    def initialize(words, defaults:, topics:, environment: ENV, on_trouble: nil, random: Random,
                   actions: Actions.new(topics))
      words = Words.new(words, defaults, topics, environment)
      @on_trouble = on_trouble
      @random = random
      @actions = actions
      @keywords = words.rule(@actions)
      @rules = Rules.new(words[:rules], @keywords, @actions, method(:trouble))
      @actions.add_topics(words[:dead_letter_topics], "dead_letter_topics")
      @breaker = BreakerWords.check(words[:breaker])
      @timeout = words.seconds(:timeout)
      @stuck_after = words.seconds(:stuck_after)
      freeze
    end

    # @param random [#rand]
    # @return [RetryPolicy] one that differs in where its jitter comes from
    def with_jitter_of(random)
      dup.tap { |policy| policy.instance_variable_set(:@random, random) }.freeze
    end

    # @param error [Exception] what the work raised
    # @param attempt [Integer] how many attempts are used up, this one included; 0 if it is excused
    # @return [Decision] frozen
    def decide(error, attempt)
      return give_up(@keywords.give_up || :stop) if GiveUp === error

      rule = @rules.for(error) || @keywords
      return give_up(rule.give_up) if attempt >= rule.attempts

      Decision.new(seconds: wait_after(attempt, error, rule)).freeze
    end

    # The wait before the next try, jitter included.
    #
    # @param attempt [Integer] how many tries there were; less than 1 counts as 1
    # @param error [Exception] what the last one raised
    # @param rule [Rules::Rule, nil] whose wait; nil: that of the keywords
    # @return [Float] seconds
    def wait_after(attempt, error, rule = nil)
      rule ||= @keywords
      attempt = [attempt, 1].max
      source = rule.wait.source
      seconds = Guard.run(->(e) { trouble(source, e) }) { rule.wait.seconds(attempt, error) } ||
                Wait::DEFAULT.seconds(attempt, error)
      seconds + (seconds * rule.jitter * @random.rand)
    end

    # What a callable give_up said.
    #
    # @param value [Object] what it returned
    # @return [String, Symbol] a topic, :skip or :stop; for everything else :done
    # @raise [ArgumentError] a topic that is not named in {#topics}
    def action(value)
      @actions.returned(value)
    end

    # @return [Array<String>] every topic that a message may be given up to
    def topics
      @actions.topics
    end

    # @return [Hash{Symbol => Object}] what it was made with, to be shown
    def overview
      @keywords.overview.merge(rules: @rules.overview, dead_letter_topics: topics, breaker: @breaker, timeout: timeout,
                               stuck_after: stuck_after)
    end

    private

    # There must be a decision all the same.
    def trouble(source, error)
      @on_trouble&.call("Error in #{source}", error)
      nil
    end

    def give_up(action)
      Decision.new(give_up: action).freeze
    end
  end
end
