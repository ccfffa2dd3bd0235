# frozen_string_literal: true

require "spec_helper"
require "work_shaper/testing/rspec"

# That the threads of a consumer call it, too, is in spec/consumer/failure_spec.rb.
RSpec.describe WorkShaper::Consumer, "around" do
  let(:done) { [] }

  def consume(around: nil, payloads: %w[a1 b1], **options, &work)
    work ||= ->(message) { done << message.payload }
    testing.consume(tested(around: around, attempts: 1, give_up: :skip, **options, &work), messages(*payloads))
  end

  it "passes on what the work returns" do
    results = []
    around = ->(_message, &work) { results << work.call }
    consume(around: around, payloads: %w[a1 a2 a3]) { |message| message.offset * 10 }
    expect(results).to eq([0, 10, 20])
  end

  it "sees what the work raises, and may swallow it" do
    around = lambda do |message, &work|
      work.call
    rescue StandardError => e
      done << [message.payload, e.message]
    end
    expect(consume(around: around, payloads: %w[a1]) { raise "broken" }).to have_worked("a1")
    expect(done).to eq([%w[a1 broken]])
  end

  it "counts what it raises itself as the message's failure" do
    errors = []
    consume(around: ->(*, &_) { raise "around is broken" }, on_error: ->(error, *) { errors << error.message })
    expect([errors, done]).to eq([["around is broken"] * 2, []])
  end

  it "skips the work when it does not yield; the offset is finished" do
    expect(consume(around: ->(message, &_work) { message })).to have_acknowledged("orders/0" => 2)
    expect(done).to be_empty
  end

  it "may be any object that answers call" do
    around = Class.new do
      attr_reader :seen

      def call(message)
        (@seen ||= []) << message.payload
        yield
      end
    end.new
    consume(around: around, payloads: %w[a1])
    expect([around.seen, done]).to eq([%w[a1], %w[a1]])
  end

  describe "with Rails" do
    def rails_with(application)
      stub_const("Rails", Module.new { define_singleton_method(:application) { application } })
    end

    it "is inside the application's executor, as the work is without it" do
      wraps = 0
      executor = Object.new
      executor.define_singleton_method(:wrap) { |&work| (wraps += 1) && work.call }
      rails_with(Struct.new(:executor).new(executor))
      consume
      expect([wraps, done.sort]).to eq([2, %w[a1 b1]])
      consume(around: ->(_message, &work) { work.call })
      expect([wraps, done.size]).to eq([4, 4])
    end

    it "is nothing when there is no application" do
      [Module.new, Module.new { def self.application; end }].each do |rails|
        stub_const("Rails", rails)
        expect(consume).to have_worked("a1", "b1")
      end
    end
  end
end
