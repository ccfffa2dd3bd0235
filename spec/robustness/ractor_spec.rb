# frozen_string_literal: true

require "spec_helper"

# Ruby 3.1 to 3.4 hang, or raise Ractor::ClosedError, when several threads of one Ractor wait for others at once, with
# and without WorkShaper. One at a time is fine.
RSpec.describe "Ractors", if: defined?(Ractor) do
  it "may be used by work, one at a time" do
    expect_child_to_pass(<<~RUBY, arguments: ["-W0"], limit: 40)
      lock = Mutex.new
      ractor = -> { Ractor.new { 1 + 1 } }
      value = Ractor.method_defined?(:value) ? :value : :take
      m = manager(work: ->(*) { worked << lock.synchronize { ractor.call.public_send(value) } }, concurrency: 5)
      50.times { |offset| m.enqueue(offset, nil, 0, offset) }
      same(true, m.drain(timeout: 20), "drain")
      same([2], worked.uniq, "values")
      expect_intact(m)
      passed
    RUBY
  end

  it "are refused with Ruby's own error when they use a manager" do
    expect_child_to_pass(<<~RUBY, arguments: ["-W0"])
      value = Ractor.method_defined?(:value) ? :value : :take
      error = Ractor.new do
        WorkShaper::Manager.allocate.total_acked
      rescue Exception => e
        e.class.name
      end
      same("Ractor::UnsafeError", error.public_send(value), "error")
      passed
    RUBY
  end
end
