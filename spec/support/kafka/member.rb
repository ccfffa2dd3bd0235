# frozen_string_literal: true

# A member of a consumer group in a process of its own: `ruby member.rb JSON`. What it is to do:
#
#   consumer  keyword arguments of WorkShaper::Consumer.new
#   work      {"sleep_ms": 10}, {"cpu_ms": 1} (pure Ruby) or {}; "slow": {"every": 40, "sleep_ms": 2000} for the
#             messages whose id that divides; "hang": an id, until it is released; "fail": {"twice_every": 20,
#             "for_ever_every": 100}, and what else Faults takes
#   record    "each": every start and end of work; or a number: a tally and the consumer's load each so many messages
#   log       the file to which all of it is appended, in lines; WorkLog reads it
#
# With statistics.interval.ms it writes down which partitions librdkafka does not see in what brokers say of topics.
# A line is one write(2), done before the work goes on, so a SIGKILL loses none that counts. Standard input takes
# "stats", "release" and "stop"; the process ends with it, so it cannot survive the suite. Exit status: 0 when `run`
# returned true.

require "delegate"
require "json"
require "logger"
require "work_shaper/consumer"
require_relative "faults"

# Appends lines to the log of one member.
class Journal
  def initialize(path)
    @file = File.open(path, File::WRONLY | File::APPEND | File::CREAT)
  end

  # Non-blocking, since a write that may block would give up the GVL at every message, which changes what is measured.
  def write(kind, *words)
    @file.write_nonblock("#{kind} #{now} #{words.join(" ")}\n")
  end

  # The clock that all processes of a machine share.
  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
  end
end

# Stands between the client and the assignment of the consumer, and writes down when partitions come and go.
class Witness
  # A change that writes down how long it took to be carried out. Before that the partitions are the member's.
  class Change < SimpleDelegator
    def initialize(change, journal)
      super(change)
      @journal = journal
    end

    def carry_out(...)
      names = declined? ? [] : topic_partitions.map { |topic, partition| "#{topic}/#{partition}" }
      @journal.write(:lost, *names) if lost?
      @journal.write(:revoke, *names) unless coming?
      @journal.write(:replace, *names) if coming? && replacing?
      super.tap { @journal.write(coming? ? :assigned : :revoked, *names) }
    end
  end

  def initialize(assignment, journal)
    @assignment = assignment
    @journal = journal
  end

  def rebalance(change)
    @assignment.rebalance(Change.new(change, @journal))
  end
end

# The work on each message, as the JSON describes it.
class Work
  ROUNDS = 20_000

  def initialize(sleep_ms: nil, cpu_ms: nil, slow: nil, hang: nil, fail: nil)
    @seconds = sleep_ms && (sleep_ms / 1_000.0)
    @rounds = cpu_ms && (cpu_ms * rounds_per_ms).to_i
    @slow = slow
    @hang = hang
    @released = Queue.new
    @faults = fail && Faults.new(**fail)
  end

  def call(message)
    stay(message.payload.to_i) if @slow || @hang
    sleep @seconds if @seconds
    compute(@rounds) if @rounds
    @faults&.call(message)
  end

  # Nothing hangs any more.
  def release
    @released.close
  end

  private

  def stay(id)
    @released.pop if id == @hang
    sleep @slow[:sleep_ms] / 1_000.0 if @slow && (id % @slow[:every]).zero?
  end

  def compute(rounds)
    index = 0
    index += 1 while index < rounds
  end

  # The fastest of a few: another process may have had the processor in the others.
  def rounds_per_ms
    times = Array.new(5) do
      began = Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_millisecond)
      compute(ROUNDS)
      Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_millisecond) - began
    end
    ROUNDS / times.min
  end
end

# Writes a log's lines, but those that the block takes.
class Sifted < Logger::Formatter
  # The block returns whether a message is not to be written.
  def initialize(&taken)
    super()
    @taken = taken
  end

  def call(severity, time, program, message)
    @taken.call(message) ? "" : super
  end
end

# Writes every start and end of work.
class EachRecord
  def initialize(work, journal)
    @work = work
    @journal = journal
  end

  def call(message)
    identity = "#{message.topic}/#{message.partition} #{message.offset}"
    @journal.write("+", identity, message.key || "-", message.payload.to_i)
    @work.call(message)
    @journal.write("-", identity)
  rescue Faults::Broken
    @journal.write("!", identity)
    raise
  end

  def finish; end
end

# Counts, and adds up the offsets and the bytes of the payloads.
class TallyRecord
  # The block gives the consumer's stats.
  def initialize(work, journal, step, &stats)
    @work = work
    @journal = journal
    @step = step
    @stats = stats
    @lock = Mutex.new
    @count = @offsets = @bytes = 0
  end

  def call(message)
    @work.call(message)
    @lock.synchronize do
      @offsets += message.offset
      @bytes += message.payload.bytesize
      @count += 1
      finish if (@count % @step).zero?
    end
  end

  def finish
    @journal.write(:tally, @count, @offsets, @bytes)
    processor = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID, :nanosecond)
    @journal.write(:load, *@stats.call.values_at(:running, :in_flight), processor)
  end
end

# Runs the consumer and obeys standard input.
class Member
  def initialize(consumer:, log:, work: {}, record: "each")
    @journal = Journal.new(log)
    WorkShaper.logger = Logger.new($stderr, formatter: Sifted.new { |message| note_burial(message) })
    Rdkafka::Config.logger = Logger.new($stderr, level: Logger::WARN,
                                                 formatter: Sifted.new { |message| note_hang_up(message) })
    @work = Work.new(**work)
    @record = record_of(@work, record)
    witness(@journal)
    Rdkafka::Config.statistics_callback = method(:note_unseen) if consumer[:config].key?(:"statistics.interval.ms")
    consumer = { on_error: ->(*) {}, **consumer } if work.key?(:fail) # what fails is no news
    @consumer = WorkShaper::Consumer.new(**consumer) { |message| @record.call(message) }
  end

  # Returns what the consumer does, or nil when it raised.
  def run
    Thread.new { obey }.name = "standard input"
    Signal.trap("TERM") { @consumer.stop } # it may come before `run` listens
    @journal.write(:running, Process.pid)
    finished = @consumer.run
    @record.finish
    @journal.write(:stopped, finished)
    finished
  rescue StandardError => e
    @journal.write(:raised, e.class, e.cause.class, e.message.tr("\n", " "))
    warn e.full_message(highlight: false)
  end

  private

  def record_of(work, record)
    record == "each" ? EachRecord.new(work, @journal) : TallyRecord.new(work, @journal, record) { @consumer.stats }
  end

  def obey
    while (line = $stdin.gets)
      case line.chomp
      when "stats" then @journal.write(:stats, JSON.generate(@consumer.stats))
      when "release" then @work.release
      when "stop" then @consumer.stop
      end
    end
    exit!(3)
  end

  # That a dead letter is confirmed goes to the journal instead of the log. Nothing else of its message happens before
  # the line is written.
  def note_burial(message)
    return unless message.is_a?(Hash) && message[:message] == "Dead-lettered"

    @journal.write(:dead, *message[:offset].split(":"))
    true
  end

  # That librdkafka hung up on the coordinator, which had not answered in time, goes to the journal, too.
  def note_hang_up(message)
    @journal.write(:hung_up) if message.to_s.match?(/GroupCoordinator: .*timed out: disconnect/)
    false
  end

  def note_unseen(statistics)
    unseen = statistics["topics"].flat_map do |topic, about|
      about["partitions"].select { |_, partition| partition["unknown"] }.keys.map { |number| "#{topic}/#{number}" }
    end
    @journal.write(:unseen, *unseen)
  end

  def witness(journal)
    WorkShaper::Consumer.const_get(:Client).prepend(Module.new do
      define_method(:initialize) { |config, listener, *rest| super(config, Witness.new(listener, journal), *rest) }
    end)
  end
end

$stdout.sync = true
exit(Member.new(**JSON.parse(ARGV.fetch(0), symbolize_names: true)).run == true)
