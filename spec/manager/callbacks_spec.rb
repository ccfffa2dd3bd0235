# frozen_string_literal: true

require "spec_helper"

# Answers call and nothing else.
class CallableObject
  attr_reader :received

  def initialize
    @received = []
  end

  def call(*arguments)
    @received << arguments
    nil
  end
end

# Answers call, but has no method of that name.
class DelegatingCallable
  attr_reader :received

  def initialize
    @received = []
  end

  def respond_to_missing?(name, include_private = false)
    name == :call || super
  end

  def method_missing(name, *arguments)
    return super unless name == :call

    @received << arguments
    nil
  end
end

RSpec.describe WorkShaper::Manager, "callbacks" do
  let(:received) { [] }

  # Takes whatever a callback is called with.
  def take(*arguments)
    received << arguments
    nil
  end

  def take_three(message, partition, offset)
    take(message, partition, offset)
  end

  def take_two(partition, offset)
    take(partition, offset)
  end

  def run_one(**callbacks)
    shaper = bare_manager(**callbacks)
    shaper.enqueue(:key, :message, :p, 5)
    drained(shaper)
  end

  describe "of any kind" do
    kinds = {
      "a lambda of its arity" => ->(spec) { [->(m, p, o) { spec.take(m, p, o) }, ->(p, o) { spec.take(p, o) }] },
      "a lambda with defaults" => lambda do |spec|
        [->(m, p, o = nil, x = 1) { spec.take(m, p, o) && x }, ->(p, o = nil, x = 1) { spec.take(p, o) && x }]
      end,
      "a lambda with a splat" => ->(spec) { [->(*all) { spec.take(*all) }, ->(p, *rest) { spec.take(p, *rest) }] },
      "a lambda with optional keywords" => lambda do |spec|
        [->(m, p, o, flag: nil) { spec.take(m, p, o) && flag }, ->(p, o, **all) { spec.take(p, o) && all }]
      end,
      "a proc" => ->(spec) { [proc { |m, p, o| spec.take(m, p, o) }, proc { |p, o| spec.take(p, o) }] },
      "a Method" => ->(spec) { [spec.method(:take_three), spec.method(:take_two)] },
      "a Method with a splat" => ->(spec) { [spec.method(:take), spec.method(:take)] },
      "a Method made a Proc" => ->(spec) { [spec.method(:take_three).to_proc, spec.method(:take_two).to_proc] }
    }

    kinds.each do |name, make|
      it "works with #{name}" do
        work, ack = make.call(self)
        run_one(work: work, on_done: work, ack: ack)
        expect(received).to eq([[:message, :p, 5], [:message, :p, 5], [:p, 5]])
      end
    end

    [CallableObject, DelegatingCallable].each do |kind|
      it "works with a #{kind}" do
        callable = kind.new
        run_one(work: callable, on_done: callable, ack: callable, on_error: callable)
        expect(callable.received).to eq([[:message, :p, 5], [:message, :p, 5], [:p, 5]])
      end
    end

    it "works with a Symbol made a Proc" do
      message = []
      shaper = bare_manager(work: :push.to_proc, ack: method(:take))
      shaper.enqueue(:key, message, :p, 5)
      drained(shaper)
      expect(message).to eq([:p, 5])
    end

    it "works with a proc of fewer arguments, and one of more" do
      run_one(work: proc { |m| take(m) }, on_done: proc { |*all, last| take(all, last) }, ack: proc { take(:ack) })
      expect(received).to eq([[:message], [%i[message p], 5], [:ack]])
    end

    it "does not take an Array message apart for a proc" do
      shaper = bare_manager(work: proc { |m, p, o| take(m, p, o) }, ack: proc {})
      shaper.enqueue(:key, [1, 2, 3], :p, 5)
      drained(shaper)
      expect(received).to eq([[[1, 2, 3], :p, 5]])
    end

    it "does not take a Hash message for keywords" do
      shaper = bare_manager(work: ->(m, p, o, **rest) { take(m, p, o, rest) }, ack: lambda { |p, o, **rest|
        take(p, o, rest)
      })
      shaper.enqueue(:key, { a: 1 }, { b: 2 }, 5)
      drained(shaper)
      expect(received).to eq([[{ a: 1 }, { b: 2 }, 5, {}], [{ b: 2 }, 5, {}]])
    end

    it "passes on_error the exception first" do
      error = IOError.new("bad")
      run_one(work: ->(_, _, _) { raise error }, ack: ->(p, o) { take(p, o) }, on_error: method(:take))
      expect(received).to match([[equal(error), :message, :p, 5], [:p, 5]])
    end
  end

  describe "whose arity does not fit" do
    misfits = {
      work: [->(_) {}, ->(_, _) {}, ->(_, _, _, _) {}, -> {}, ->(_, _, _, needed:) { needed }, ->(_, _ = 1) {}],
      on_done: [->(_) {}, ->(_, _) {}, ->(_, _, _, _) {}, ->(_, _, _, _, *_) {}],
      ack: [->(_) {}, -> {}, ->(_, _, _) {}, ->(_, _, needed:) { needed }],
      on_error: [->(_) {}, ->(_, _, _) {}, ->(_, _, _, _, _) {}]
    }

    misfits.each do |name, callbacks|
      callbacks.each do |callback|
        it "is refused at once: #{name} with #{callback.parameters.map(&:first)}" do
          good = { work: ->(_, _, _) {}, ack: ->(_, _) {} }
          expect { bare_manager(**good, name => callback) }.to raise_error(ArgumentError, /\b#{name}\b/)
        end
      end
    end

    it "is refused when it is a Method" do
      expect { bare_manager(work: method(:take_two), ack: method(:take_two)) }
        .to raise_error(ArgumentError, /\bwork\b/)
      expect { bare_manager(work: method(:take_three), ack: method(:take_three)) }
        .to raise_error(ArgumentError, /\back\b/)
    end
  end

  describe "left out" do
    it "may be on_done and on_error" do
      run_one(work: method(:take), ack: method(:take))
      run_one(work: method(:take), ack: method(:take), on_done: nil, on_error: nil)
      expect(received).to eq([[:message, :p, 5], [:p, 5]] * 2)
    end

    it "may not be work or ack" do
      expect { bare_manager(ack: ->(_, _) {}) }.to raise_error(ArgumentError, /work/)
      expect { bare_manager(work: ->(_, _, _) {}) }.to raise_error(ArgumentError, /ack/)
      expect { bare_manager }.to raise_error(ArgumentError)
    end
  end

  {
    "nil" => nil, "false" => false, "a Symbol" => :call, "a String" => "call", "an Array" => [], "a Class" => Class.new,
    "an UnboundMethod" => String.instance_method(:sub), "an Object" => Object.new
  }.each do |name, value|
    it "refuses #{name} for what has to answer call, with a TypeError that names it" do
      good = { work: ->(_, _, _) {}, ack: ->(_, _) {} }
      names = value.nil? ? %i[work ack] : %i[work ack on_done on_error]
      names.each do |callback|
        expect { bare_manager(**good, callback => value) }.to raise_error(TypeError, /\b#{callback}\b/)
      end
    end
  end

  [nil, false, true, 0, StandardError.new("returned"), :failed].each do |value|
    it "does not care that work, on_done and on_error return #{value.inspect}" do
      shaper = manager(work: ->(message, _, _) { message == :failing ? raise("failed") : value },
                       on_done: ->(_, _, _) { value }, on_error: ->(_, _, _, _) { value })
      shaper.enqueue(:key, :fine, 0, 0)
      shaper.enqueue(:key, :failing, 0, 1)
      drained(shaper)
      expect(shaper.stats).to include(total_failed: 1, total_acked: 2, total_refused: 0)
      expect(calls.acks).to eq([0, 1])
    end
  end

  it "goes on past next, return from a lambda, catch and throw within, and a Fiber" do
    works = [->(_, _, _) { next 1 }, ->(_, _, _) { 1 }, ->(_, _, _) { catch(:out) { throw :out } },
             ->(_, _, _) { Fiber.new { Fiber.yield(1) }.resume }, ->(_, _, _) { [1, 2].each { |n| break if n == 2 } }]
    shaper = manager(work: ->(message, p, o) { works[message].call(nil, p, o) })
    works.each_index { |n| shaper.enqueue(:key, n, 0, n) }
    drained(shaper)
    expect(calls.errors).to be_empty
    expect(calls.worked).to eq(works.each_index.to_a)
  end
end
