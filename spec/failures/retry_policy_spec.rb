# frozen_string_literal: true

begin
  require "bigdecimal"
rescue LoadError
  nil # a gem of its own since Ruby 3.4, which may not be in the bundle
end
require_relative "../../lib/work_shaper/errors"
require_relative "../../lib/work_shaper/retry_policy"

RSpec.describe "RetryPolicy" do
  policy_class = WorkShaper.const_get(:RetryPolicy)
  largest = 2_147_483_647
  variables = {
    attempts: "WORK_SHAPER_ATTEMPTS", wait: "WORK_SHAPER_WAIT", jitter: "WORK_SHAPER_JITTER",
    timeout: "WORK_SHAPER_TIMEOUT", stuck_after: "WORK_SHAPER_STUCK_AFTER"
  }

  let(:troubles) { [] }

  def consumer(environment: {}, **words)
    make(words, environment, defaults: { attempts: :unlimited }, topics: true)
  end

  def manager(environment: {}, **words)
    make(words, environment, defaults: { attempts: 1, give_up: :skip }, topics: false)
  end

  define_method(:make) do |words, environment, **kind|
    policy_class.new(words, environment: environment, on_trouble: ->(*trouble) { troubles << trouble }, **kind)
  end

  # Like `consumer`, with the greatest or the least jitter there can be.
  define_method(:with_random) do |number, **words|
    random = Class.new { define_method(:rand) { number } }.new
    policy_class.new(words, defaults: { attempts: :unlimited }, topics: true, environment: {}, random: random)
  end

  # An error as it is when it was raised, with what it was caused by, outermost first.
  def caused(error, *causes)
    causes.empty? ? raise(error) : raise(error, cause: caused(*causes))
  rescue error.class => e
    e
  end

  def decided(policy, error, attempt)
    decision = policy.decide(error, attempt)
    decision.seconds ? [:retry, decision.seconds] : [:give_up, decision.give_up]
  end

  # Names what is wrong, what it is, and what it must be.
  def expect_refusal(error_class, *parts, &block)
    expect(&block).to raise_error(error_class) { |error|
      parts.each { |part| expect(error.message).to include(part) }
      expect(error.message).to match(/must be|may have|the words are|no class of exceptions/)
    }
  end

  describe "its words" do
    it "are listed" do
      expect(policy_class::WORDS)
        .to eq(%i[attempts wait jitter give_up rules breaker timeout stuck_after dead_letter_topics])
      expect(policy_class::WORDS).to be_frozen
    end

    it "are refused when unknown, and all that is wrong is named" do
      expect_refusal(ArgumentError, "unknown keywords: :atempts, \"wait\"", "attempts, wait, jitter, give_up") do
        consumer(atempts: 1, "wait" => 2)
      end
      expect_refusal(ArgumentError, "unknown keyword: :dead_letter_topics", "Consumer") do
        manager(dead_letter_topics: ["a"])
      end
      expect { manager(other: 1) }.to raise_error(ArgumentError) { |error|
        expect(error.message).not_to include("dead_letter_topics")
      }
    end

    it "need not be said" do
      policy = consumer
      expect([policy.timeout, policy.stuck_after, policy.topics]).to eq([nil, 30, []])
      expect(policy.breaker).to eq({ share: 0.5, of: 20, wait: 5..60 })
      expect(decided(policy, IOError.new, 1_000_000)).to match([:retry, be_between(60, 69)])
      expect(decided(manager, IOError.new, 1)).to eq(%i[give_up skip])
    end

    it "leave a policy that cannot be changed, and decisions that cannot" do
      policy = consumer(give_up: "a", attempts: 2)
      expect(policy).to be_frozen
      expect(policy.topics).to all(be_frozen)
      expect([policy.decide(IOError.new, 1), policy.decide(IOError.new, 2)]).to all(be_frozen)
    end

    it "are not changed by changing what was passed" do
      topic = +"dead"
      rules = { IOError => topic }
      policy = consumer(rules: rules, dead_letter_topics: [topic])
      topic << "er"
      rules.clear
      expect(decided(policy, IOError.new, 1)).to eq([:give_up, "dead"])
      expect(policy.topics).to eq(["dead"])
    end
  end

  describe "numbers" do
    it "may be Integers, Floats, Rationals, BigDecimals and Strings" do
      [2, 2.0, 2r, "2", "2.0", *(BigDecimal("2") if defined?(BigDecimal))].each do |two|
        policy = consumer(timeout: two, stuck_after: two, wait: two, jitter: 0)
        expect([policy.timeout, policy.stuck_after, policy.wait_after(1, nil)]).to all(eq(2))
        expect([policy.timeout, policy.stuck_after]).to all(be_a(Integer).or(be_a(Float)))
        expect(policy.wait_after(1, nil)).to be_a(Float)
      end
      expect(consumer(timeout: nil, stuck_after: nil)).to have_attributes(timeout: nil, stuck_after: nil)
    end

    it "come from the environment when they are not passed" do
      environment = { "WORK_SHAPER_ATTEMPTS" => "3", "WORK_SHAPER_WAIT" => "0.5..60", "WORK_SHAPER_JITTER" => "0.0",
                      "WORK_SHAPER_TIMEOUT" => "1.5", "WORK_SHAPER_STUCK_AFTER" => "08" }
      policy = consumer(environment: environment, give_up: :stop)
      expect([policy.timeout, policy.stuck_after]).to eq([1.5, 8])
      expect([1, 2, 3].map { |attempt| decided(policy, IOError.new, attempt) })
        .to eq([[:retry, 0.5], [:retry, 1.0], %i[give_up stop]])
      unlimited = consumer(environment: environment.merge("WORK_SHAPER_ATTEMPTS" => "unlimited",
                                                          "WORK_SHAPER_WAIT" => "7"))
      expect(decided(unlimited, IOError.new, 10**30)).to eq([:retry, 7.0])
    end

    it "do not come from the environment when they are passed" do
      environment = variables.values.to_h { |name| [name, "garbage"] }
      policy = consumer(environment: environment, attempts: 1, give_up: :skip, wait: 1, jitter: 0, timeout: nil,
                        stuck_after: nil)
      expect(policy).to have_attributes(timeout: nil, stuck_after: nil)
    end

    it "read the real environment unless told otherwise" do
      ENV["WORK_SHAPER_TIMEOUT"] = "4"
      expect(policy_class.new({}, defaults: {}, topics: true).timeout).to eq(4)
    ensure
      ENV.delete("WORK_SHAPER_TIMEOUT")
    end

    garbage = ["", " ", "1 ", "\n1", "1\n", "-1", "+1", "1e3", "1_0", "0x1", ".5", "5.", "1.2.3", "\u0661", "NaN",
               "Infinity", "nil", "1".encode("UTF-16LE"), "\xFF", "9" * 400, "1,5"]
    wrong_values = [-1, -0.1, Float::NAN, Float::INFINITY, -Float::INFINITY, 10**400, Complex(1, 1), Complex(1, 0)]
    wrong_types = [true, false, [], [1], {}, Object, Time.at(1)]

    variables.each do |name, variable|
      garbage.each do |value|
        it "refuse #{name}: #{value[0, 20].inspect} (#{value.encoding}), passed or from #{variable}" do
          expect_refusal(ArgumentError, "#{name} is", value.inspect) { consumer(give_up: :stop, name => value) }
          expect_refusal(ArgumentError, "#{variable} is", value.inspect) do
            consumer(give_up: :stop, environment: { variable => value })
          end
        end
      end

      (wrong_values - (name == :attempts ? wrong_values.grep_v(Integer) : [])).each do |value|
        it "refuse #{name}: #{value.inspect[0, 20]} as a wrong value" do
          expect_refusal(ArgumentError, "#{name} is #{value.inspect}") { consumer(give_up: :stop, name => value) }
        end
      end

      wrong_types.each do |value|
        it "refuse #{name}: #{value.inspect} as a wrong type" do
          expect_refusal(TypeError, "#{name} is #{value.inspect}") { consumer(give_up: :stop, name => value) }
        end
      end
    end

    it "refuse what is beyond what each can be" do
      { attempts: [0, "0", largest + 1, :many], jitter: [1.01, 2, "1.1"], timeout: [0, "0", 0.0, "0.0", largest + 1],
        stuck_after: [0, "0", largest + 1], wait: [largest + 1, "9999999999"] }.each do |name, values|
        values.each do |value|
          expect_refusal(ArgumentError, "#{name} is #{value.inspect}") { consumer(give_up: :stop, name => value) }
        end
      end
      expect_refusal(TypeError, "attempts is 1.5") { consumer(give_up: :stop, attempts: 1.5) }
      %i[attempts wait jitter give_up rules breaker dead_letter_topics].each do |name|
        expect_refusal(TypeError, "#{name} is nil") { consumer(name => nil) }
      end
    end

    it "take the ends of what each can be" do
      expect(consumer(attempts: largest, give_up: :skip, jitter: 1, timeout: largest, stuck_after: 1e-9,
                      wait: 1e-9..largest)).to have_attributes(timeout: largest, stuck_after: 1e-9)
      expect(consumer(jitter: 0, wait: 1e-9).wait_after(1, nil)).to eq(1e-9)
    end
  end

  describe "attempts" do
    it "count every try" do
      policy = consumer(attempts: 3, give_up: "dead", wait: 1, jitter: 0)
      expect([0, 1, 2, 3, 4].map { |attempt| decided(policy, IOError.new, attempt).first })
        .to eq(%i[retry retry retry give_up give_up])
      expect(decided(consumer(attempts: 1, give_up: :stop), IOError.new, 1)).to eq(%i[give_up stop])
    end

    it "may be without limit, which needs no give_up" do
      [:unlimited, "unlimited"].each do |attempts|
        expect(decided(consumer(attempts: attempts), IOError.new, 10**50).first).to eq(:retry)
      end
    end

    it "need a give_up where they are limited" do
      expect_refusal(ArgumentError, "attempts is 3", "give_up", ":skip", "topic") { consumer(attempts: 3) }
      expect_refusal(ArgumentError, "WORK_SHAPER_ATTEMPTS is 3") do
        consumer(environment: { "WORK_SHAPER_ATTEMPTS" => "3" })
      end
      expect_refusal(ArgumentError, "rules[IOError][:attempts] is 2") do
        consumer(rules: { IOError => { attempts: 2 } })
      end
      expect(consumer(rules: { IOError => { attempts: 2, give_up: :skip } })).to be_a(policy_class)
      expect(consumer(give_up: :skip, rules: { IOError => { attempts: 2 } })).to be_a(policy_class)
      expect(manager(attempts: 3)).to be_a(policy_class)
    end
  end

  describe "wait" do
    def waits(policy, attempts)
      attempts.map { |attempt| policy.wait_after(attempt, IOError.new) }
    end

    it "doubles from the first second to the last" do
      expect(waits(consumer(wait: 1..60, jitter: 0), 1..8)).to eq([1, 2, 4, 8, 16, 32, 60, 60])
      expect(waits(consumer(wait: 0.5..1.75, jitter: 0), 1..4)).to eq([0.5, 1, 1.75, 1.75])
      expect(waits(consumer(wait: 3..3, jitter: 0), [1, 9])).to eq([3, 3])
    end

    it "stays at the last however many tries there were, however small the first" do
      [1..60, 1e-300..60, Float::MIN..60, (1e-320)..60].each do |range|
        policy = consumer(wait: range, jitter: 0)
        expect(waits(policy, [2**31, 2**63, 10**30, 10**400])).to all(eq(60))
        expect(waits(policy, 1..2500)).to all(be_between(0, 60)).and eq(waits(policy, 1..2500).sort)
      end
    end

    it "counts an excused first try as the first" do
      expect(waits(consumer(wait: 1..60, jitter: 0), [0, -1, 1])).to all(eq(1.0))
    end

    it "adds up to the jitter, to every kind of wait" do
      { 10 => 10.0, (10..60) => 10.0, ->(_attempt, _error) { 10 } => 10.0 }.each do |wait, plain|
        expect(with_random(0.0, wait: wait, jitter: 0.5).wait_after(1, nil)).to eq(plain)
        most = 1.0.prev_float
        expect(with_random(most, wait: wait, jitter: 0.5).wait_after(1, nil)).to be_within(1e-9).of(plain * 1.5)
        expect(with_random(most, wait: wait, jitter: 0).wait_after(1, nil)).to eq(plain)
      end
      some = consumer(wait: 10, jitter: 0.2)
      all = Array.new(500) { some.wait_after(1, nil) }
      expect(all).to all(be_between(10, 12))
      expect(all.uniq.size).to be > 400
    end

    it "is asked of a callable: lambda, Method, proc, object" do
      seen = []
      error = IOError.new
      lambda = lambda do |*arguments|
        seen << arguments
        7
      end
      callables = [lambda, lambda.method(:call), proc { |attempt, _error| attempt * 7 },
                   Class.new { def call(attempt, _error) = 7r * attempt }.new]
      callables.each { |wait| expect(consumer(wait: wait, jitter: 0).decide(error, 1).seconds).to eq(7.0) }
      expect(seen).to eq([[1, error]] * 2)
    end

    it "is the default when a callable raises or returns what is no number of seconds" do
      bad = [-> { raise "no" }, -> { raise NotImplementedError }, -> { raise Exception, "any" }, # rubocop:disable Lint/RaiseException
             -> {}, -> { "5" }, -> { -1 }, -> { Float::NAN }, -> { Float::INFINITY }, -> { 10**400 },
             -> { Complex(1, 1) }, -> { [1] }, -> { throw :nobody }]
      bad.each do |body|
        policy = consumer(wait: ->(_attempt, _error) { body.call }, jitter: 0)
        expect(waits(policy, [1, 2, 9])).to eq([1, 2, 60])
      end
      expect(troubles.size).to eq(3 * bad.size)
      expect(troubles.map(&:first)).to all(eq("Error in wait"))
      expect(troubles.map(&:last)).to all(be_an(Exception))
      expect(troubles.map { |_, error| error.message }).to include(/wait returned -1; it must be seconds/)
    end

    it "lets through what is meant for the process" do
      [SystemExit, Interrupt, NoMemoryError].each do |fatal|
        policy = consumer(wait: ->(_attempt, _error) { raise fatal, "x" })
        expect { policy.wait_after(1, nil) }.to raise_error(fatal)
      end
      expect(troubles).to be_empty
    end

    it "needs nobody who is told of trouble" do
      policy = policy_class.new({ wait: ->(_, _) { raise "no" }, rules: { ->(_) { raise "no" } => :skip }, jitter: 0 },
                                defaults: {}, topics: true, environment: {})
      expect(policy.decide(IOError.new, 1).seconds).to eq(1.0)
    end

    it "refuses Ranges that are none of seconds" do
      [0..5, -1..5, 5..1, 1.., (..5), 1...5, (nil..nil), 1..Float::INFINITY, 1..(10**400), 0.0..1].each do |range|
        expect_refusal(ArgumentError, "wait is #{range.inspect}", "1..60") { consumer(wait: range) }
      end
      ["a".."b", Time.at(1)..Time.at(2)].each do |range|
        expect_refusal(ArgumentError, "wait is #{range.inspect}") { consumer(wait: range) }
      end
      ["0..5", "5..1", "1..", "..5", "1...5", "1..2..3", "1-5", "1 .. 5", ".."].each do |string|
        expect_refusal(ArgumentError, "WORK_SHAPER_WAIT is #{string.inspect}", "1..60") do
          consumer(environment: { "WORK_SHAPER_WAIT" => string })
        end
      end
    end

    it "refuses callables that cannot take what they are called with" do
      [-> {}, ->(_a) {}, ->(_a, _b, _c) {}, ->(_a, _b, c:) { c }].each do |wait|
        expect { consumer(wait: wait) }.to raise_error(ArgumentError, /wait takes .*attempt, error/)
      end
      expect { consumer(rules: { IOError => { wait: -> {} } }) }
        .to raise_error(ArgumentError, /rules\[IOError\]\[:wait\]/)
      expect_refusal(TypeError, "wait is :soon") { consumer(wait: :soon) }
    end
  end

  describe "give_up" do
    it "is a topic, :skip, :stop or a callable" do
      callable = ->(_failure) { :skip }
      proc = proc { "any arity" }
      ["dead", :skip, :stop, callable, proc].each do |action|
        expect(decided(consumer(attempts: 1, give_up: action), IOError.new, 1)).to eq([:give_up, action])
      end
    end

    it "is refused when it is anything else" do
      [:done, :retry, :Skip, :"", :dead].each do |action|
        expect_refusal(ArgumentError, "give_up is #{action.inspect}", ":skip, :stop", "topic") do
          consumer(give_up: action)
        end
      end
      [1, nil, true, [], ["dead"], {}, Object].each do |action|
        expect_refusal(TypeError, "give_up is #{action.inspect}", ":skip, :stop") { consumer(give_up: action) }
      end
      expect { consumer(give_up: "") }.to raise_error(ArgumentError, /give_up is "".*name/)
      expect { consumer(give_up: -> {}) }.to raise_error(ArgumentError, /give_up takes no arguments.*failure/)
    end

    it "is no topic in a Manager" do
      [{ give_up: "dead" }, { rules: { IOError => "dead" } }, { rules: { IOError => { give_up: "dead" } } },
       { give_up: "" }].each do |words|
        expect_refusal(ArgumentError, "topics belong to a Consumer", ":skip, :stop") { manager(**words) }
      end
    end

    it "comes at once with GiveUp, before any rule; and is :stop when nothing was said" do
      looked = []
      rules = { lambda { |error|
        looked << error
        true
      } => { wait: 1 } }
      expect(decided(consumer(rules: rules), WorkShaper::GiveUp.new, 1)).to eq(%i[give_up stop])
      expect(decided(consumer(rules: rules, give_up: "dead"), Class.new(WorkShaper::GiveUp).new, 0))
        .to eq([:give_up, "dead"])
      expect(decided(manager(attempts: 9), WorkShaper::GiveUp.new, 1)).to eq(%i[give_up skip])
      expect(looked).to be_empty
    end

    it "does not come with a GiveUp that is only a cause" do
      expect(decided(consumer, caused(IOError.new, WorkShaper::GiveUp.new), 1).first).to eq(:retry)
    end
  end

  describe "rules" do
    it "count in their order" do
      policy = consumer(rules: { IOError => :skip, EOFError => :stop, StandardError => "other" })
      expect([EOFError.new, IOError.new, KeyError.new].map { |error| decided(policy, error, 1).last })
        .to eq([:skip, :skip, "other"])
      expect(decided(policy, NotImplementedError.new, 1).first).to eq(:retry)
    end

    it "may be for classes, modules, procs and Methods" do
      tagged = Module.new
      tag = IOError.new.extend(tagged)
      busy = ->(error) { error.message.include?("busy") }
      late = Class.new { def late?(error) = error.message == "late" }.new.method(:late?)
      special = Class.new do
        def self.===(error) = error.message == "special"
        def self.method = "GET"
      end
      policy = consumer(rules: { tagged => "tagged", busy => "busy", late => "late", special => "special",
                                 proc { |error| error.is_a?(KeyError) } => "key", Object => "all" })
      errors = [tag, IOError.new("is busy"), IOError.new("late"), IOError.new("special"), KeyError.new, Exception.new]
      expect(errors.map { |error| decided(policy, error, 1).last }).to eq(%w[tagged busy late special key all])
    end

    it "look at the error first, then at its causes, outermost first" do
      policy = consumer(rules: { KeyError => "key", IOError => "io", TypeError => "type" })
      expect(decided(policy, caused(TypeError.new, IOError.new, KeyError.new), 1).last).to eq("type")
      expect(decided(policy, caused(RuntimeError.new, IOError.new, KeyError.new), 1).last).to eq("io")
      expect(decided(policy, caused(RuntimeError.new, RuntimeError.new, KeyError.new), 1).last).to eq("key")
      expect(decided(policy, caused(RuntimeError.new, RuntimeError.new), 1).first).to eq(:retry)
    end

    it "come to an end whatever causes do" do
      first = IOError.new
      second = IOError.new
      first.define_singleton_method(:cause) { second }
      second.define_singleton_method(:cause) { first }
      own = IOError.new
      own.define_singleton_method(:cause) { own }
      endless = Class.new(IOError) { def cause = self.class.new }.new
      odd = ["text", nil, false, BasicObject.new].map do |cause|
        IOError.new.tap { |error| error.define_singleton_method(:cause) { cause } }
      end
      policy = consumer(rules: { KeyError => :skip })
      expect([first, own, endless, *odd].map { |error| decided(policy, error, 1).first }).to all(eq(:retry))
      expect(troubles).to be_empty
    end

    it "do not look further when a cause cannot be had, and tell" do
      error = IOError.new
      error.define_singleton_method(:cause) { raise NotImplementedError }
      expect(decided(consumer(rules: { KeyError => :skip }), error, 1).first).to eq(:retry)
      expect(troubles).to match([["Error in cause of IOError", NotImplementedError]])
    end

    it "that raise match nothing, and it is told" do
      raising = ->(_error) { raise NoMethodError, "bug" }
      module_of_mine = Module.new { def self.===(_error) = raise(NotImplementedError, "later") }
      policy = consumer(rules: { raising => :skip, module_of_mine => :skip, IOError => :stop })
      expect(decided(policy, IOError.new, 1).last).to eq(:stop)
      expect(troubles).to match([[/\AError in rules\[#<Proc/, NoMethodError], [/rules\[#<Module/, NotImplementedError]])
    end

    it "that are an action give up at once, also what an open breaker excused" do
      callable = ->(_failure) { :skip }
      policy = consumer(rules: { IOError => callable })
      expect([0, 1, 5].map { |attempt| decided(policy, IOError.new, attempt) }).to all(eq([:give_up, callable]))
    end

    it "that are a Hash change what they name, and no more" do
      rules = { KeyError => {}, EOFError => { attempts: :unlimited }, IOError => { attempts: "2", wait: "1..4" },
                TypeError => { give_up: :stop }, RangeError => { jitter: "1", wait: ->(attempt, _) { attempt } } }
      policy = consumer(attempts: 3, wait: 10, jitter: 0, give_up: "dead", rules: rules)
      expect([KeyError, EOFError, IOError, TypeError].map { |error| decided(policy, error.new, 3) })
        .to eq([[:give_up, "dead"], [:retry, 10.0], [:give_up, "dead"], %i[give_up stop]])
      expect([KeyError, EOFError, IOError, TypeError].map { |error| decided(policy, error.new, 1).last })
        .to eq([10.0, 10.0, 1.0, 10.0])
      expect(decided(policy, RangeError.new, 2)).to match([:retry, be_between(2, 4)])
    end

    it "tell which of them has the wait that failed" do
      policy = consumer(rules: { IOError => { wait: ->(_, _) { "soon" } } }, jitter: 0)
      expect(decided(policy, IOError.new, 2)).to eq([:retry, 2.0])
      expect(troubles).to match([["Error in rules[IOError][:wait]", TypeError]])
    end

    it "are refused when they can match nothing or say nothing" do
      [String, Class, Struct.new(:a)].each do |key|
        expect_refusal(ArgumentError, "a key of rules is #{key.inspect}") { consumer(rules: { key => :skip }) }
      end
      ["IOError", :IOError, nil, 1, /busy/, [IOError], IOError.new, Object.new].each do |key|
        expect_refusal(TypeError, "a key of rules is #{key.inspect}") { consumer(rules: { key => :skip }) }
      end
      [[], "dead", :skip, IOError, true].each do |rules|
        expect_refusal(TypeError, "rules is #{rules.inspect}") { consumer(rules: rules) }
      end
      [nil, 1, true, [:skip]].each do |action|
        expect_refusal(TypeError, "rules[IOError] is #{action.inspect}", "Hash") do
          consumer(rules: { IOError => action })
        end
      end
      expect { consumer(rules: { -> {} => :skip }) }.to raise_error(ArgumentError, /takes no arguments/)
    end

    it "are refused when their words are wrong, each by its name" do
      { { tries: 1 } => "rules[IOError] has :tries", { "wait" => 1 } => "rules[IOError] has \"wait\"",
        { timeout: 1 } => "has :timeout", { attempts: 0 } => "rules[IOError][:attempts] is 0",
        { jitter: 2 } => "rules[IOError][:jitter] is 2", { wait: 0..1 } => "rules[IOError][:wait] is 0..1",
        { give_up: :done } => "rules[IOError][:give_up] is :done" }.each do |rule, text|
        expect_refusal(ArgumentError, text) { consumer(rules: { IOError => rule }) }
      end
      expect_refusal(ArgumentError, "rules[IOError] is :retry") { consumer(rules: { IOError => :retry }) }
      expect_refusal(TypeError, "rules[IOError][:give_up] is nil") { consumer(rules: { IOError => { give_up: nil } }) }
      expect { consumer(rules: { IOError => "" }) }.to raise_error(ArgumentError, /rules\[IOError\] is ""/)
    end

    it "survive an error that answers nothing as it should" do
      error = Class.new(IOError) do
        %i[class is_a? kind_of? message inspect to_s cause ==].each do |name|
          define_method(name) { |*| raise NotImplementedError, name.to_s }
        end
      end.new
      expect(decided(consumer(rules: { KeyError => :skip, IOError => :stop }), error, 1)).to eq(%i[give_up stop])
      expect(decided(consumer(rules: { KeyError => :skip }), error, 1).first).to eq(:retry)
    end
  end

  describe "topics" do
    it "are all that are named anywhere, once each" do
      policy = consumer(attempts: 1, give_up: "a", dead_letter_topics: %w[d a d],
                        rules: { IOError => "b", KeyError => { give_up: "c" }, TypeError => "a", EOFError => :skip })
      expect(policy.topics).to eq(%w[a b c d])
      expect(manager.topics).to eq([])
    end

    it "that a callable may return are checked" do
      ["a", :a, nil, {}].each do |value|
        expect_refusal(TypeError, "dead_letter_topics is #{value.inspect}") { consumer(dead_letter_topics: value) }
      end
      [nil, :a, 1].each do |value|
        expect_refusal(TypeError, "dead_letter_topics[1] is #{value.inspect}") do
          consumer(dead_letter_topics: ["a", value])
        end
      end
      expect { consumer(dead_letter_topics: [""]) }.to raise_error(ArgumentError, /dead_letter_topics\[0\] is ""/)
    end
  end

  describe "action" do
    it "is a known topic, :skip, :stop, or done" do
      policy = consumer(give_up: "a", dead_letter_topics: ["b"])
      expect(["a", "b".b, Class.new(String).new("a"), :skip, :stop].map { |value| policy.action(value) })
        .to eq(["a", "b", "a", :skip, :stop])
      expect([nil, true, 1, :done, :a, [], Object.new, BasicObject.new].map { |value| policy.action(value) })
        .to all(eq(:done))
    end

    it "is no other topic, and none in a Manager" do
      ["c", "", "A", "a "].each do |value|
        expect_refusal(ArgumentError, "give_up returned #{value.inspect}", '"a"', ":skip", "dead_letter_topics") do
          consumer(give_up: "a").action(value)
        end
      end
      expect_refusal(ArgumentError, 'give_up returned "a"', "Consumer") { manager.action("a") }
    end
  end

  describe "breaker" do
    it "is complete, or none" do
      expect(consumer(breaker: true).breaker).to eq({ share: 0.5, of: 20, wait: 5..60 })
      expect(consumer(breaker: false).breaker).to be_nil
      expect(consumer(breaker: {}).breaker).to eq({ share: 0.5, of: 20, wait: 5..60 })
      expect(consumer(breaker: { share: 1, of: 5, wait: 0.5 }).breaker).to eq({ share: 1, of: 5, wait: 0.5 })
      expect(consumer(breaker: { share: 1/3r }).breaker)
        .to match({ share: be_within(0.01).of(0.33), of: 20, wait: 5..60 })
      expect(consumer(breaker: {}).breaker).to be_frozen
    end

    it "is refused when it is anything else" do
      { share: [0, -0.5, 1.01, Float::NAN, Complex(0, 1)], of: [0, -1, 4, largest + 1],
        wait: [0, -1, 0..5, 5..1, 1.., 1...5, Float::NAN, Float::INFINITY] }.each do |name, values|
        values.each do |value|
          expect_refusal(ArgumentError, "breaker[#{name.inspect}] is #{value.inspect}") do
            consumer(breaker: { name => value })
          end
        end
      end
      { share: [nil, "0.5", true], of: [nil, 1.5, "20"], wait: [nil, "5..60", ->(_, _) { 1 }] }.each do |name, values|
        values.each do |value|
          expect_refusal(TypeError, "breaker[#{name.inspect}] is") { consumer(breaker: { name => value }) }
        end
      end
      [0, "true", :on, []].each do |value|
        expect_refusal(TypeError, "breaker is #{value.inspect}") { consumer(breaker: value) }
      end
      expect_refusal(ArgumentError, "breaker has :size", "share, of, wait") { consumer(breaker: { size: 1 }) }
    end
  end

  it "decides the same for many threads at a time" do
    policy = consumer(attempts: 3, wait: 1..8, jitter: 0, give_up: "dead", rules: { KeyError => :skip })
    answers = Array.new(4) do
      Thread.new { Array.new(200) { |n| decided(policy, n.odd? ? KeyError.new : IOError.new, (n % 4) + 1) } }
    end
    expect(answers.map(&:value).uniq.size).to eq(1)
  end
end
