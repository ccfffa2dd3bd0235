# frozen_string_literal: true

require_relative "clock"
require_relative "safe_log"

module WorkShaper
  # Tells an ill world from an ill message: when most of the last tries failed, and of several sub keys, nothing starts
  # any more but a probe now and then, until something succeeds. Tries that fail for that reason use up no attempts.
  #
  # Successes are counted by the manager alone, so that they cost nothing: every try has a number, and here are the
  # numbers of those that failed.
  #
  # @private
  class Breaker
    include Clock

    # Of how many sub keys there must be failures: one that fails for ever is ill itself.
    MIN_SUB_KEYS = 5

    # A try that failed and is to be made again. Its error is kept beside the failure, which goes on to its next one.
    Failed = Struct.new(:number, :sub_key, :failure, :error)

    # That it is open: since when, how many seconds between two probes, and how many of those failed. It is replaced and
    # never changed, so that whoever is called from in here (a logger, an error's message) can ask for the stats.
    Opening = Struct.new(:since, :interval, :probes)
    private_constant :Failed, :Opening

    # @param share [Numeric] how much of the last tries must have failed, > 0 and <= 1
    # @param of [Integer] how many these are
    # @param wait [Numeric, Range] seconds between two probes: always the same, or doubling from the first to the last
    # @param holder [#hold(seconds), #unhold] starts nothing but probes; starts everything again. Neither may block
    # @param events [Events::Publisher]
    def initialize(share:, of:, wait:, holder:, events: Events::Publisher.new)
      @share = share
      @of = of
      @wait = wait.is_a?(Range) ? wait : wait..wait
      @holder = holder
      @events = events
      @lock = Mutex.new
      @failed = []
      @newest = 0
      @opened = 0
    end

    # @return [Boolean] whether nothing starts but probes
    def open?
      !@opening.nil?
    end

    # A try failed, and is to be made again. While it is open, the caller gives the attempt back: it has to before it
    # decides whether to try again at all.
    #
    # @param number [Integer] how many tries had ended by then, with this one
    # @param failure [Failure] whose attempts count, or not
    # @param excused [Boolean] whether the caller gave the attempt back; otherwise that is done here, if it opened since
    # @return [Boolean] whether it is open now
    def failed(number, failure, excused = false) # rubocop:disable Style/OptionalBooleanParameter
      tries = @lock.synchronize { @opening ? probed(failure, excused) : note(number, failure) }
      log_opened(tries) if tries
      open?
    end

    # Some work succeeded while it was open.
    #
    # @return [nil]
    def succeeded
      opening = @lock.synchronize { close if @opening } or return
      SafeLog.info(message: "Breaker closed", open_for_sec: seconds_since(opening), probes: opening.probes)
      @events.publish(:breaker) { { state: :closed, open_for: now - opening.since, probes: opening.probes } }
      nil
    end

    # @return [Hash{Symbol => Object}] `state` (:open or :closed); while it is open `open_for_sec`, `error` (the newest
    #   of the commonest class, a String) and `probes` (how many failed), else nil, nil and 0; `opened`: how often
    def stats
      opening = @opening
      { state: opening ? :open : :closed, open_for_sec: opening && seconds_since(opening),
        error: opening && @error, probes: opening ? opening.probes : 0, opened: @opened }
    end

    private

    # What follows, down to the log, happens inside the lock, so that hold and unhold come in the right order. The log
    # is written outside: it may be slow, and an error's text may be made by anything.

    # @return [Array<Failed>, nil] what opened it
    def note(number, failure)
      @newest = [@newest, number].max
      @failed << Failed.new(number, failure.sub_key_id, failure, failure.error)
      @failed.reject! { |try| try.number <= @newest - @of }
      # A quotient, for 0.55 * 20 is more than 11.
      open if @failed.size.fdiv(@of) >= @share && @failed.map(&:sub_key).uniq.size >= MIN_SUB_KEYS
    end

    def open
      tries = @failed
      @holder.hold(@wait.begin)
      @failed = []
      @opened += 1
      @error = nil
      @opening = Opening.new(now, @wait.begin, 0).freeze
      # Each attempt that was counted is given back.
      tries.each { |try| try.failure.give_back_attempt }
    end

    # What ran when it opened may fail, too; only a probe says that nothing has changed.
    def probed(failure, excused)
      failure.give_back_attempt unless excused
      return unless failure.probe?

      interval = [@opening.interval * 2, @wait.end].min
      @opening = Opening.new(@opening.since, interval, @opening.probes + 1).freeze
      @holder.hold(interval)
      nil
    end

    def close
      opening = @opening
      @holder.unhold
      @opening = nil
      opening
    end

    # The newest error of the class that most of them have.
    def commonest(tries)
      kinds = tries.sort_by(&:number).group_by { |try| Kernel.instance_method(:class).bind_call(try.error) }
      kinds.each_value.max_by(&:size).last.error
    end

    def log_opened(tries)
      error = commonest(tries)
      @error = SafeLog.describe(error)
      SafeLog.warn(message: "Breaker opened", error: @error, tries: @of, failed: tries.size, probe_in_sec: @wait.begin)
      @events.publish(:breaker) do
        { state: :open, error: error, tries: @of, failed: tries.size, probe_in: @wait.begin }
      end
    end

    def seconds_since(opening)
      (now - opening.since).round(3)
    end
  end
end
