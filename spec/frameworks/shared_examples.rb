# frozen_string_literal: true

require_relative "../support/kafka/suite"
require_relative "run"

# What every example must do. Who includes it defines `command(file)`, `settings(file)` (its environment), `adapt(text)`
# (the example, as it needs to be for this Kafka) and `expect_repeats(finished, failing)`.
RSpec.shared_examples "an example" do |name|
  framework = Frameworks::Framework.new(name)
  before { framework.install }

  let(:topic) { kafka_topic(partitions: 3) }
  let(:group) { kafka_group(topic) }
  let(:runs) { [] }
  let(:copies) { [] }

  # Kafka is cleaned up after it: no client may be left then.
  after do
    runs.each(&:close)
    copies.each(&:close!)
  end

  # Starts the example, or a copy of it: the work begins with `code`, and the rest is adapted to this Kafka.
  define_method(:start) do |code = ""|
    text = File.read(framework.example)
    raise "the example does not hold what is to be changed" unless text.include?("    sleep 0.005")

    changed = adapt(text.sub("    sleep 0.005") { |rest| code + rest })
    file = changed == text ? framework.example : copy(changed)
    runs << Frameworks::Run.new(framework, *command(file), env: settings(file))
    runs.last
  end

  def copy(text)
    copies << Tempfile.new(["example", ".rb"])
    copies.last.write(text)
    copies.last.tap(&:flush).path
  end

  # Code for the work of a message that is to be broken.
  def only_of(produced, code)
    "if message.key == #{produced.key.inspect} && message.offset == #{produced.offset}\n#{code}\nend\n"
  end

  def ends
    topic.high_watermarks.transform_keys { |partition| "#{topic.name}/#{partition}" }
  end

  def expect_clean_end(run)
    run.signal(:TERM)
    expect(run.wait).to eq(0), -> { run.to_s }
    expect(run.output).not_to match(/"level":"(ERROR|FATAL)|^[EF], \[|Traceback|\.rb:\d+:in/)
  end

  def ids_per_key(lines)
    lines.group_by(&:key).transform_values { |of_key| of_key.map(&:id) }
  end

  # The most pieces of work that were under way at one moment.
  def overlap(lines)
    under_way = 0
    lines.map { |line| under_way += line.started ? 1 : -1 }.max
  end

  it "works on every message once, in order per key and in parallel, commits all and ends on TERM" do
    produced = topic.produce(1_500, keys: 60)
    run = start(%(puts ["start", message.partition, message.offset, message.key, 0].join(" ")\n))
    run.wait_until("1,500 messages") { run.finished.size >= 1_500 }
    expect_clean_end(run)

    expect(ids_per_key(run.finished)).to eq(ids_per_key(produced))
    expect(group.committed).to eq(ends)
    expect(overlap(run.lines)).to be_between(10, 50)
    expect(run.lines.group_by(&:key).values.map { |of_key| overlap(of_key) }).to all(eq(1))
  end

  it "finishes and commits what it took when TERM comes half-way, so nothing is repeated" do
    produced = topic.produce(6_000, keys: 60)
    first = start("    sleep 0.02\n")
    first.wait_until("200 messages") { first.finished.size >= 200 }
    expect_clean_end(first)
    expect(first.finished.size).to be < 6_000
    expect(group.committed.values.sum(&:to_i)).to eq(first.finished.size)

    second = start
    second.wait_until("the rest") { first.finished.size + second.finished.size >= 6_000 }
    expect_clean_end(second)
    expect(ids_per_key(first.finished + second.finished)).to eq(ids_per_key(produced))
    expect(group.committed).to eq(ends)
  end

  it "repeats what failed, and nothing later of its key comes before it" do
    produced = topic.produce(600, keys: 60)
    failing = produced.fetch(200)
    flag = Tempfile.new("flag") # held, for it is deleted when it is collected
    run = start(only_of(failing, <<~RUBY))
      raise IOError, "on purpose" if File.empty?(#{flag.path.inspect}) && File.write(#{flag.path.inspect}, "failed")
    RUBY
    run.wait_until("every message") { run.finished.map(&:id).uniq.size >= 600 }
    run.signal(:TERM)
    expect(run.wait).to eq(0), -> { run.to_s }

    expect(run.output).to include("on purpose")
    expect(group.committed).to eq(ends)
    expect(ids_per_key(run.finished).transform_values(&:uniq)).to eq(ids_per_key(produced))
    expect_repeats(run.finished, failing)
  end

  it "ends when work is cut off, and commits nothing beyond it" do
    failing = topic.produce(300, keys: 60).fetch(100)
    run = start(only_of(failing, 'raise NoMemoryError, "on purpose"'))
    run.wait
    expect(run.output).to include("on purpose")
    expect(group.committed[failing.partition].to_i).to be <= failing.offset
  end
end
