# frozen_string_literal: true

# One random run of a stream, and what must come out of it whatever happens meanwhile: in a child process, since what is
# broken may hang. Everything is chosen by the seed, but for when threads run.
class RandomStream
  # What the work of an input raises.
  class Boom < StandardError
  end

  # number: in the order of the pushes. fails: how many tries do. nap: seconds, or nil.
  Input = Struct.new(:number, :index, :key, :priority, :fails, :nap, keyword_init: true)

  ENDINGS = %i[natural natural natural break raise cancel cancel_in_work kill].freeze

  attr_reader :plan

  def initialize(seed)
    @random = Random.new(seed)
    @plan = { seed: seed, shape: pick(:source, :source, :pushed, :pushed, :push_with_block, :next), ending: :natural,
              ordered: pick(true, false), give_up: pick(:raise, :collect, :skip, :replace), attempts: pick(1, 1, 3),
              concurrency: pick(1, 2, 3, 8), seats: pick(nil, 1, 2, 5, 20), stages: pick(0, 0, 1, 2),
              indexes: pick(nil, nil, :gaps, :late, :same), pushers: 1, readers: 1, kills: 0 }
    choose_the_rest
    @inputs = Array.new(@random.rand(80)) { |number| input(number) }
    @lock = Mutex.new
    @running = {}
    @last = Hash.new(-1)
    @tries = Hash.new(0)
    @out = Queue.new
    @violations = Queue.new
  end

  # Returns a text on what is wrong, or nil.
  def run
    threads = Thread.list
    @stream = make
    check(plan[:shape] == :pushed ? push_and_read : [reading(&method(plan[:shape]))])
    check_threads(threads)
    @violations.empty? ? nil : "#{plan}: #{Array.new(@violations.size) { @violations.pop }.uniq.join("; ")}"
  end

  private

  # The plan

  def pick(*choices)
    choices.sample(random: @random)
  end

  def choose_the_rest
    plan[:stages] = 0 if plan[:shape] == :push_with_block # it reads the first
    plan[:indexes] = nil unless %i[pushed push_with_block].include?(plan[:shape])
    plan[:ending] = pick(*ENDINGS) if %i[source pushed].include?(plan[:shape])
    plan.update(pushers: pick(1, 1, 3), readers: pick(1, 1, 3)) if plan[:shape] == :pushed
    plan[:kills] = 3 if plan[:give_up] == :collect && plan[:ending] == :natural && pick(true, false)
    @keyed = pick(true, false)
    @options = { concurrency: plan[:concurrency], ordered: plan[:ordered], attempts: plan[:attempts], wait: 0.001,
                 jitter: 0, max_in_flight: plan[:seats], rate: pick(nil, nil, 3000), timeout: pick(nil, 5),
                 priority: pick(nil, lambda(&:priority)), give_up: give_up, key: @keyed ? lambda(&:key) : nil,
                 local: pick(nil, -> { Thread.current }) }
  end

  def give_up
    plan[:give_up] == :replace ? ->(_error, input) { replaced(input) } : plan[:give_up]
  end

  def replaced(input)
    [:replaced, input.number]
  end

  def input(number)
    index = { gaps: number * 3, late: number ^ 3, same: number / 2 }.fetch(plan[:indexes], number)
    Input.new(number: number, index: index, key: pick(nil, 1, "two", [3]), priority: @random.rand(3),
              fails: pick(0, 0, 0, 0, 0, 0, 1, 5), nap: pick(nil, nil, 0, 0.0005, 0.002))
  end

  def make
    stream = first = source_or_pushed
    plan[:stages].times do
      stream = stream.stage(concurrency: pick(1, 3), max_in_flight: pick(nil, 1, 3),
                            give_up: plan[:kills].positive? ? :collect : :raise, # a kill may be of its threads
                            key: pick(nil, ->(result) { result.hash % 2 }), &:itself)
    end
    stream.stats # links them
    @first = first
    stream
  end

  def source_or_pushed
    options = @options
    if %i[source next].include?(plan[:shape])
      WorkShaper.stream(@inputs.each, **options, &method(:work))
    else
      WorkShaper::Stream.new(**options, &method(:work))
    end
  end

  # The work

  # An interruption and a kill (hence Object) come inside the work, and not where it is noted down.
  def work(input, local = Thread.current)
    Thread.handle_interrupt(Object => :never) do
      begin_work(input)
      Thread.handle_interrupt(Object => :immediate) { really_work(input, local) }
    ensure
      @lock.synchronize { @running.delete(input.key) }
    end
  end

  def really_work(input, local)
    violated("a local of another thread") unless local.equal?(Thread.current)
    inside = @first.stats[:in_flight]
    violated("#{inside} inside") if plan[:seats] && inside > plan[:seats]
    sleep(input.nap) if input.nap
    @stream.cancel if plan[:ending] == :cancel_in_work && input.number == 20
    raise Boom, input.number.to_s if @tries[input.number] <= input.fails

    input.number
  end

  def begin_work(input)
    @lock.synchronize do
      tries = @tries[input.number] += 1
      violated("#{tries} tries") if tries > plan[:attempts]
      next unless input.key && @keyed

      violated("two at once of a key") if @running[input.key]
      violated("overtaken within its key") if plan[:pushers] == 1 && @last[input.key] > input.number
      @running[input.key] = true
      @last[input.key] = input.number
    end
  end

  def violated(what)
    @violations << what
  end

  # Pushing and reading. Each reader returns what was raised, or nil.

  def reading
    yield
    nil
  rescue Boom, WorkShaper::Failures, WorkShaper::Cancelled, IOError => e
    e
  end

  def source
    end_early do
      @stream.each do |result|
        Thread.current[:reads] = true
        got(result)
      end
    end
  end

  def next
    loop { got(@stream.next) }
  end

  def push_with_block
    @inputs.each { |input| @stream.push(input, **index_of(input)) { |result| got(result) } }
    @stream.close
    @stream.each { |result| got(result) }
  ensure
    @stream.cancel
    reading { @stream.each { violated("something comes after the end") } } # which ends its threads
  end

  def push_and_read
    pushers = Array.new(plan[:pushers]) { |number| Thread.new { reading { push(number) } } }
    closer = Thread.new { pushers.each(&:join) && @first.close }
    readers = Array.new(plan[:readers]) { Thread.new { reading { source } } }
    errors = (readers + [closer]).map(&:value)
    [*errors.grep(Exception), *pushers.map(&:value).grep(Exception)]
  end

  def push(number)
    @inputs.each { |input| @first.push(input, **index_of(input)) if input.number % plan[:pushers] == number }
  rescue WorkShaper::Closed
    violated("closed under a pusher")
  end

  def index_of(input)
    plan[:indexes] ? { index: input.index } : {}
  end

  def got(result)
    @out << result
    return unless @out.size == 10 && plan[:stages].zero?

    throw :done if plan[:ending] == :break
    raise IOError, "the reader's" if plan[:ending] == :raise
  end

  # Ends it while it runs: from inside the reader's block, from another thread, or by a kill of the reader.
  def end_early(&block)
    return catch(:done, &block) unless %i[cancel kill].include?(plan[:ending]) || plan[:kills].positive?

    reader = Thread.new { reading(&block) }
    disturb(reader)
    error = reader.value
    raise error if error.is_a?(Exception)
  end

  def disturb(reader)
    if plan[:kills].positive?
      plan[:kills].times { sleep(0.002) && ours.sample(random: @random)&.kill }
    else
      sleep(0.003)
      plan[:ending] == :kill && reader[:reads] ? reader.kill : @stream.cancel
    end
  end

  def ours
    Thread.list.select { |thread| thread.name.to_s.match?(/\Awork_shaper (worker|acknowledger|timekeeper)/) }
  end

  # What must come out

  def lost?(input)
    input.fails >= plan[:attempts]
  end

  def wanted
    kept = @inputs.reject { |input| lost?(input) && plan[:give_up] != :replace }
    kept.to_h { |input| [lost?(input) ? replaced(input) : input.number, input] }
  end

  def check(errors)
    out = Array.new(@out.size) { @out.pop }
    violated("twice: #{out.tally.select { |_, times| times > 1 }}") if out.uniq.size < out.size
    foreign = out - wanted.keys
    violated("out of nowhere: #{foreign}") if foreign.any?
    check_order(out)
    plan[:ending] == :natural ? check_complete(out, errors.compact) : check_early(errors.compact)
    violated("work goes on") if @running.any?
  end

  def check_order(out)
    return unless plan[:ordered] && plan[:readers] == 1 && plan[:pushers] == 1 && plan[:indexes] != :late

    indexes = wanted.values_at(*(out & wanted.keys)).map(&:index)
    violated("not in order: #{indexes}") if indexes != indexes.sort
  end

  def check_early(errors)
    allowed = errors.all? { |error| error.is_a?(WorkShaper::Cancelled) || error.is_a?(IOError) || given_up?(error) }
    violated("ended with #{errors}") unless allowed
  end

  # Inputs whose error may have come out before the end did.
  def given_up?(error)
    error.is_a?(Boom) || error.is_a?(WorkShaper::Failures)
  end

  def check_complete(out, errors)
    lost = @inputs.select { |input| lost?(input) }
    if plan[:give_up] == :raise && lost.any?
      check_raised(out, errors, lost)
    elsif plan[:give_up] == :collect && (lost.any? || plan[:kills].positive?)
      check_collected(out, errors, lost)
    else
      missing = wanted.keys - out
      violated("raised #{errors}") if errors.any?
      violated("missing: #{missing}") if missing.any?
    end
  end

  def check_raised(out, errors, lost)
    first = lost.min_by(&:index)
    return violated("raised #{errors}") if errors.empty? || (errors - errors.grep(Boom)).any?

    raised = errors.first.message # the reader's; who pushes hears of any
    return unless plan[:ordered] && plan[:indexes].nil? && plan[:pushers] == 1 && plan[:shape] != :push_with_block

    missing = wanted.keys.select { |number| number < first.number } - out
    violated("raised #{raised}, not #{first.number}") unless raised == first.number.to_s
    violated("missing before the error: #{missing}") if missing.any?
  end

  # Each comes out, or is told of at the end; a kill may have made it one of these.
  def check_collected(out, errors, lost)
    failures = errors.grep(WorkShaper::Failures).first
    told = failures ? failures.size : 0
    violated("raised #{errors}") unless errors.all?(WorkShaper::Failures)
    violated("#{told} told of, #{lost.size} failed") if plan[:kills].zero? && told != lost.size
    violated("#{out.size} and #{told} of #{@inputs.size} came out") unless out.size + told == @inputs.size
  end

  # A time limit's thread, when a kill meets a reader that has come to the end, stays until its last block was due.
  def check_threads(before)
    left = nil
    8_000.times { (left = Thread.list - before).any? ? sleep(0.001) : break }
    violated("threads are left: #{left}") if left.any?
  end
end
