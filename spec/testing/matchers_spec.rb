# frozen_string_literal: true

require "spec_helper"
require "work_shaper/testing/rspec"

RSpec.describe WorkShaper::Testing::Matchers do
  def failure
    yield
    nil
  rescue RSpec::Expectations::ExpectationNotMetError => e
    e.message
  end

  let(:result) do
    consumer = tested(attempts: 2, wait: 1, rules: { KeyError => "dead" }) do |message|
      raise "bad" if message.payload == "a1" && message.attempt == 1
      raise KeyError, "no" if message.key == "c"
    end
    testing.consume(consumer, messages("a1", "a2", "b1", "c1"))
  end

  # attempts want a give_up
  def tested(**options, &work)
    super(give_up: :skip, **options, &work)
  end

  it "have_worked: exactly these, those of one key in this order, whatever the schedule" do
    expect(result).to have_worked("a1", "a2", "b1")
    expect(result).to have_worked("b1", "a1", "a2")
    expect(result).not_to have_worked("a2", "a1", "b1")
    expect(result).not_to have_worked("a1", "a2")
    expect(result).not_to have_worked("a1", "a2", "b1", "b1")
    expect(result).to have_worked
    expect(failure { expect(result).to have_worked("a2", "a1", "b1") })
      .to include("expected to be worked on: \"a2\", \"a1\", \"b1\"", "orders/0/0 \"a1\"", "the order of a",
                  "(seed #{result.seed}: repeat it with WORK_SHAPER_SEED=#{result.seed})")
    expect(failure do
      expect(result).not_to have_worked
    end).to include("not to have worked on a message", "seed #{result.seed}")
  end

  it "means messages by what they are, their offset, fields or payload" do
    expect(result).to have_worked(0, { key: "a", offset: 1..3 }, /b/)
    expect(result).to have_worked(*result.worked.select { |work| work.outcome == :done }.map(&:message))
    expect(testing.consume(tested, [{ payload: "ä" }, { payload: nil, key: "k" }])).to have_worked("ä", nil)
    expect { have_worked({ value: 1 }) }.to raise_error(ArgumentError, /unknown keyword: :value/)
  end

  it "have_retried, have_dead_lettered to a topic, have_acknowledged" do
    expect(result).to have_retried("a1").and have_dead_lettered("c1").to("dead")
    expect(result).to have_acknowledged("orders/0" => 4, "orders/1" => nil)
    expect(failure do
      expect(result).to have_retried("a2")
    end).to include("tried again: \"a2\"\nbut were: orders/0/0 \"a1\"")
    expect(failure do
      expect(result).to have_dead_lettered.to("other")
    end).to include("nothing was dead-lettered to other")
    expect(failure { expect(result).to have_dead_lettered("c1").to("other") }).to include("but were: none")
    expect(failure { expect(result).to have_acknowledged("orders/0" => 3) })
      .to include("(the next offsets): {\"orders/0\"", "but were: {\"orders/0\"", "seed #{result.seed}")
    expect { have_acknowledged(4) }.to raise_error(ArgumentError, /4 is no Hash of partitions/)
    expect { have_worked.matches?(:other) }.to raise_error(TypeError, /:other is not what consume or session returned/)
  end

  describe "be_repeatable" do
    let(:rows) { {} }
    let(:log) { [] }
    let(:given) { messages("a1", "b1", "a2", "b2") }

    it "passes for work that can come again" do
      consumer = tested { |message| rows[message.id] = message.payload }
      expect(consumer).to(be_repeatable.with(given).leaving { rows })
    end

    it "fails for work that counts, whether the state is another object or the same" do
      consumer = tested { |message| log << message.payload }
      expect(failure { expect(consumer).to(be_repeatable.with(given).leaving { log }) })
        .to match(/expected it to leave, when all messages came again: \["..", .*\]\nbut it left: \["..", .*\(seed/m)
      expect(consumer).not_to(be_repeatable.with(given).leaving { log.size })
      expect(consumer).not_to be_repeatable.with(given) do
        log.size
      end
    end

    it "fails for work that gives up, or never ends, when messages come again" do
      unique = tested(attempts: 2) { |message| rows.key?(message.id) ? raise("not unique") : rows[message.id] = 1 }
      expect(failure { expect(unique).to(be_repeatable.with(given).leaving { rows.keys }) })
        .to include("gave up what came again, and was worked on before: orders/0/")
      rows.clear
      unique = tested(attempts: :unlimited) do |message|
        rows.key?(message.id) ? raise("not unique") : rows[message.id] = 1
      end
      expect(failure do
        expect(unique).to(be_repeatable.with(given).leaving do
          rows.keys
        end)
      end).to include("was tried 1000 times")
    end

    it "fails where it could not" do
      expect(failure do
        expect(tested).to(be_repeatable.with(given).leaving do
          1
        end)
      end).to include("that says nothing of its work")
      expect(failure { expect(tested).to(be_repeatable.with([]).leaving { 1 }) }).to include("no message was worked on")
      expect { expect(tested).to be_repeatable }.to raise_error(ArgumentError, /say what it works on/)
      expect { expect(tested).to be_repeatable.with(given) }.to raise_error(ArgumentError, /what that leaves/)
    end

    it "compares values, and not whether records are the same" do
      record = Class.new do
        attr_reader :attributes

        def initialize = @attributes = { "count" => 0 }
        def ==(_other) = true
        def add = @attributes["count"] += 1
      end.new
      consumer = tested { record.add }
      expect(consumer).not_to(be_repeatable.with(given).leaving { [record] })
      opaque = Object.new
      expect do
        expect(consumer).to(be_repeatable.with(given).leaving do
          opaque
        end)
      end.to raise_error(TypeError, /leaves has a Object; it must be/)
    end
  end

  it "has RSpec's seed, and says it where an example fails" do
    expect(result.seed).to eq(RSpec.configuration.seed)
    run = Program.ruby("-e", <<~RUBY)
      require "rspec/core"
      require "work_shaper/testing/rspec"
      WorkShaper.logger = Logger.new(nil)
      consumer = WorkShaper::Consumer.new(config: { "bootstrap.servers": "x:1", "group.id": "g" }, topics: "orders") { |_| }
      RSpec.describe "a spec" do
        it("fails") { WorkShaper::Testing.consume(consumer, [{}]) && expect(1).to(eq(2)) }
        it("passes") { WorkShaper::Testing.consume(consumer, [{}]) }
        it("fails without the kit") { expect(1).to eq(2) }
      end
      exit RSpec::Core::Runner.run(["--seed", "4711", "--options", File::NULL])
    RUBY
    expect(run.wait).to eq(1), run.to_s
    expect(run.stdout.scan(/^WORK_SHAPER_SEED=.*/)).to match([/\AWORK_SHAPER_SEED=4711 # .*-e:6\z/])
  end
end
