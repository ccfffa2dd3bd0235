# frozen_string_literal: true

# What one random run does: the settings, and for each enqueuing thread a list of steps. The same seed makes
# the same schedule (how the threads then interleave is up to Ruby).
class Schedule
  # A message and what happens to it; it travels through the manager as the message itself.
  # tries: how often its work fails before it would succeed.
  Message = Struct.new(:id, :key, :partition, :offset, :duration, :fate, :tries, :follow_up, keyword_init: true) do
    def to_s
      "##{id} key=#{key} #{partition.inspect}:#{offset} #{duration} #{fate} #{tries}" \
        "#{" then #{follow_up}" if follow_up}"
    end
    alias_method :inspect, :to_s
  end

  # Makes a fresh object on each call, so that only equality can bring two messages of one key together.
  StructKey = Struct.new(:name)
  KEYS = [
    -> {}, -> { :symbol }, -> { +"string" }, -> { 1 }, -> { 1.0 }, -> { ["array", 1] }, -> { StructKey.new("struct") },
    -> { 2**70 }, -> { "text" }, -> { +"\xFFbytes".b }
  ].freeze
  PARTITIONS = [0, 1, "topic/2", nil].freeze
  DERIVED_PARTITION = :derived
  PROFILES = {
    plain: {},
    crowd: { enqueuers: 2..4 },
    failures: { failures: 0.3, refusals: 0.2 },
    revokes: { revokes: 0.1, enqueuers: 1..2 },
    tight: { max_in_queue: [1, 2], max_in_flight: [1, 2, 3], enqueuers: 1..3 },
    stopped: { ending: :shutdown_meanwhile, enqueuers: 1..3, failures: 0.1 },
    retries: { retries: 0.4, refusals: 0.1, enqueuers: 1..2 },
    retries_revoked: { retries: 0.4, revokes: 0.1, enqueuers: 1..3, max_in_flight: [3, 10, 30] },
    everything: { failures: 0.2, refusals: 0.1, revokes: 0.06, enqueuers: 1..3, followers: 0.15 }
  }.freeze

  attr_reader :seed, :profile, :settings, :enqueuers, :callbacks, :ending, :keys

  def initialize(seed, profile)
    @seed = seed
    @profile = profile
    @traits = PROFILES.fetch(profile)
    @random = Random.new(seed)
    @id = 0
    @settings = random_settings
    @settings.update(random_words) if @traits[:retries]
    @keys = KEYS.sample(@random.rand(1..KEYS.size), random: @random)
    @callbacks = { on_done: likely?(0.8), on_error: likely?(0.8), ack_duration: duration }
    @refused = {}
    @ending = @traits[:ending] || pick(%i[drain shutdown request_shutdown shutdown_elsewhere])
    @enqueuers = random_enqueuers
  end

  # false, an Exception, or whatever counts as success.
  def verdict(partition, offset)
    kind = @refused[[partition, offset]]
    return false if kind == :false # rubocop:disable Lint/BooleanSymbol
    return StandardError.new("refused") if kind == :exception

    kind == :object ? BasicObject.new : nil
  end

  def key_of(message)
    @keys.fetch(message.key).call
  end

  def to_s
    steps = @enqueuers.each_with_index.map { |list, n| "enqueuer #{n}:\n  #{list.join("\n  ")}" }
    "profile #{@profile}, SEED=#{@seed}, ending #{@ending}\n#{@settings} #{@callbacks}\n" \
      "verdicts #{@refused}\n#{steps.join("\n")}"
  end

  private

  def random_settings
    {
      concurrency: @random.rand(1..8),
      max_in_queue: pick(@traits[:max_in_queue] || [1, 2, 3, 5, 25]),
      max_in_flight: pick(@traits[:max_in_flight] || [1, 3, 10, 30, 10_000]),
      acks: pick(%i[every latest]),
      offset_commit_period_ms: @random.rand(1..3),
      heartbeat_period_sec: 0
    }
  end

  # What becomes of messages that fail. Waits are short, so that runs are.
  def random_words
    wait = pick([0.001, 0.0005..0.004, ->(attempt, _error) { attempt * 0.0007 }])
    breaker = pick([false, { share: 0.5, of: 10, wait: 0.001 }, { share: 0.2, of: 5, wait: 0.001..0.004 }])
    { attempts: @random.rand(1..4), wait: wait, give_up: pick(%i[skip callable]), breaker: breaker }
  end

  def random_enqueuers
    count = @random.rand(@traits[:enqueuers] || (1..1))
    # Who may revoke a partition is the only one who enqueues for it, so that it is known what came before.
    shared = !@traits[:revokes] && likely?(0.5)
    partitions = PARTITIONS.sample([count, @random.rand(1..PARTITIONS.size)].max, random: @random)
    Array.new(count) do |n|
      own = shared ? partitions : partitions.select.with_index { |_, index| index % count == n }
      random_steps(own)
    end
  end

  def random_steps(partitions)
    next_offset = partitions.to_h { |partition| [partition, pick([0, 5, 1000, 2**53, (2**63) - 10_000])] }
    given = partitions.to_h { |partition| [partition, []] }
    Array.new(@random.rand(1..(@profile == :everything ? 60 : 40))) do
      partition = pick(partitions)
      if likely?(@traits[:revokes] || 0)
        next_offset[partition] -= [next_offset[partition], @random.rand(0..20)].min
        [:revoke, partition]
      elsif likely?(0.06)
        [pick(%i[flush stats report pass])]
      else
        [pick(%i[enqueue enqueue enqueue try_enqueue timed_enqueue]), message(partition, next_offset, given)]
      end
    end
  end

  def message(partition, next_offset, given)
    offset = random_offset(partition, next_offset, given[partition])
    given[partition] << offset
    @refused[[partition, offset]] = pick(%i[false exception object]) if likely?(@traits[:refusals] || 0)
    build(partition, offset, follow_up: likely?(@traits[:followers] || 0))
  end

  def random_offset(partition, next_offset, given)
    return pick(given) if likely?(0.08) && given.any?
    return [next_offset[partition] - @random.rand(1..30), 0].max if likely?(0.08)

    offset = next_offset[partition]
    next_offset[partition] += pick([1, 1, 1, 2, 7])
    offset
  end

  def build(partition, offset, follow_up: false)
    id = @id += 1
    follow_up = build(DERIVED_PARTITION, id) if follow_up
    Message.new(id: id, key: @random.rand(@keys.size), partition: partition, offset: offset,
                duration: duration, fate: fate, tries: likely?(@traits[:retries] || 0) ? @random.rand(1..5) : 0,
                follow_up: follow_up || nil)
  end

  def fate
    likely?(@traits[:failures] || 0) ? pick(%i[work_raises on_done_raises on_error_raises]) : :fine
  end

  def duration
    pick(%i[none none pass sleep])
  end

  def likely?(probability)
    @random.rand < probability
  end

  def pick(list)
    list.sample(random: @random)
  end
end
