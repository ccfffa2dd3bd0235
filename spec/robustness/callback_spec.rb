# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Callbacks that leave in unusual ways" do
  # Each is the body of a callback which ends in a failure for whoever called it.
  errors = {
    "throw without catch" => "throw(:nowhere)",
    "break from a dead block" => "DEAD_BREAK.call",
    "return from a dead method" => "DEAD_RETURN.call",
    "Fiber.yield without a fiber" => "Fiber.yield",
    "a frozen string changed" => "'frozen'.freeze << 'more'",
    "an error without a message" => "raise(Class.new(StandardError) { def message = nil })",
    "an error raised into itself" => "Thread.current.raise(ArgumentError, 'itself')",
    "a failing Timeout" => "Timeout.timeout(0.01) { sleep }",
    "StopIteration" => "raise StopIteration",
    "an Exception" => "raise(Exception, 'no StandardError')",
    "NotImplementedError" => "raise(NotImplementedError)",
    "a stack overflow" => "deep = -> { deep.call + 1 }; deep.call",
    "ThreadError by joining itself" => "Thread.current.join",
    "a wrong number of arguments" => "->(one) {}.call(1, 2, 3)"
  }
  dead = <<~RUBY
    def dead_break = proc { break }
    def dead_return = proc { return }
    DEAD_BREAK = dead_break
    DEAD_RETURN = dead_return
  RUBY

  errors.each do |name, code|
    it "go on after #{name} in work, on_done and on_error" do
      expect_child_to_pass(<<~RUBY)
        #{dead}
        caught = []
        m = manager(concurrency: 2,
                    work: ->(message, *) { #{code} if message == :work; raise "x" if message == :on_error },
                    on_done: ->(message, *) { #{code} if message == :on_done },
                    on_error: ->(error, message, *) { caught << error; #{code} if message == :on_error })
        %i[work on_done on_error fine].each_with_index { |message, offset| m.enqueue(:key, message, 0, offset) }
        same(true, m.drain(timeout: 10), "drain")
        same([0, 1, 2, 3], acked[0], "acked")
        same(3, caught.size, "caught: \#{caught}")
        same(3, m.stats[:total_failed], "failed")
        check(!log.string.empty?, "what on_error raised is logged")
        expect_intact(m)
        passed
      RUBY
    end

    it "shut down after #{name} in ack" do
      expect_child_to_pass(<<~RUBY)
        #{dead}
        m = manager(ack: ->(partition, offset) { acked[partition] << offset; #{code} if offset == 1 })
        begin
          5.times { |offset| m.enqueue(:key, nil, 0, offset) }
        rescue WorkShaper::ShuttingDown
          nil
        end
        wait_until("shutting down") { m.shutting_down }
        expect_intact(m, fatal: true)
        same([0, 1], acked[0], "acked")
        same((0...m.total_enqueued).to_a, worked, "worked")
        passed
      RUBY
    end
  end

  # What is meant for the process ends the worker, as Ruby says; the manager says why and ends.
  fatal = {
    "NoMemoryError" => "raise(NoMemoryError)",
    "Thread.exit" => "Thread.exit",
    "Thread.current.kill" => "Thread.current.kill",
    "an Interrupt raised by hand" => "Thread.current.report_on_exception = false; raise(Interrupt, 'by hand')"
  }
  fatal.each do |name, code|
    %w[work on_done on_error].each do |callback|
      it "end the manager after #{name} in #{callback}, finishing everything else" do
        expect_child_to_pass(<<~RUBY, stderr: //)
          hit = ->(message) { #{code} if message == :hit }
          work = lambda do |message, _, offset|
            hit.call(message) if #{callback == "work"}
            raise "on" if message == :hit
            worked << offset
          end
          work = ->(message, _, offset) { worked << offset unless message == :hit } if #{callback == "on_done"}
          m = manager(concurrency: 2, work: work,
                      on_done: ->(message, *) { hit.call(message) if #{callback == "on_done"} },
                      on_error: ->(_, message, *) { hit.call(message) if #{callback == "on_error"} })
          begin
            m.enqueue(:other, :fine, 1, 0)
            m.enqueue(:key, :fine, 0, 0)
            m.enqueue(:key, :hit, 0, 1)
            m.enqueue(:key, :behind, 0, 2)
            m.enqueue(:other, :fine, 1, 1)
          rescue WorkShaper::ShuttingDown
            nil
          end
          wait_until("shutting down") { m.shutting_down }
          expect_intact(m, fatal: true)
          same([0], acked[0], "acked of the partition")
          same((0...acked[1].size).to_a, acked[1], "acked of the other partition")
          check(!worked.include?(2), "what waits behind is not run")
          passed
        RUBY
      end
    end
  end

  it "may return, next, break and throw within themselves" do
    expect_child_to_pass(<<~RUBY)
      m = manager(work: lambda do |_, _, offset|
        catch(:here) { throw :here }
        [1].each { break }
        Enumerator.new { |y| y << 1 }.next
        Fiber.new { Fiber.yield }.resume
        worked << offset
        return offset if offset.odd?

        next offset
      end)
      10.times { |offset| m.enqueue(offset % 3, nil, 0, offset) }
      same(true, m.drain(timeout: 10), "drain")
      same((0...10).to_a, acked[0], "acked")
      expect_intact(m)
      passed
    RUBY
  end

  it "may use the manager from inside, where only waiting for itself raises" do
    expect_child_to_pass(<<~RUBY)
      m = nil
      seen = []
      inside = lambda do |name|
        seen << [name, m.flush.class, m.stats.class, m.total_acked.class, m.shutting_down, m.revoke(:none), m.report]
        raised(WorkShaper::Error) { m.drain }
        raised(WorkShaper::Error) { m.drain(timeout: 1) }
        raised(WorkShaper::Error) { m.shutdown }
        raised(WorkShaper::Error) { m.shutdown(timeout: 1) }
        same(false, m.shutting_down, "a refused shutdown changes nothing")
      end
      m = manager(concurrency: 2,
                  work: ->(message, *) { inside.call(:work); raise "on" if message == :fail },
                  on_done: ->(*) { inside.call(:on_done) },
                  on_error: ->(*) { inside.call(:on_error) },
                  ack: ->(partition, offset) { inside.call(:ack); same(0, m.flush, "flush in ack"); acked[partition] << offset })
      m.enqueue(:key, :fine, 0, 0)
      m.enqueue(:key, :fail, 0, 1)
      same(true, m.drain(timeout: 10), "drain")
      same(%i[ack on_done on_error work], seen.map(&:first).uniq.sort, "inside of")
      expect_intact(m)
      passed
    RUBY
  end

  it "may enqueue from inside, and are told at once when it is full" do
    expect_child_to_pass(<<~RUBY)
      m = nil
      turned_away = Queue.new
      work = lambda do |depth, _, offset|
        worked << offset
        next if depth.zero?

        m.enqueue(:key, 0, 1, offset)
        m.enqueue(:key, 0, 1, offset + 1_000)
      rescue WorkShaper::Full => e
        turned_away << e
        same(false, m.try_enqueue(:key, 0, 1, 9), "try_enqueue")
        raised(WorkShaper::Full) { m.enqueue(:key, 0, 1, 9, timeout: 0.01) }
      end
      m = manager(max_in_queue: 1, max_in_flight: 4, work: work, concurrency: 2)
      20.times { |offset| m.enqueue(:key, 1, 0, offset) }
      same(true, m.drain(timeout: 10), "drain")
      check(!turned_away.empty?, "some were turned away")
      same((0...20).to_a, acked[0], "acked")
      expect_intact(m)
      passed
    RUBY
  end

  it "may revoke the partition whose ack they are in" do
    expect_child_to_pass(<<~RUBY)
      m = nil
      m = manager(ack: ->(partition, offset) { acked[partition] << offset; m.revoke(partition) if offset == 2 })
      gate = Queue.new
      5.times { |offset| m.enqueue(:key, nil, 0, offset) }
      same(true, m.drain(timeout: 10), "drain")
      check([[0, 1, 2], [0, 1, 2, 4], [0, 1, 2, 3, 4]].include?(acked[0]), "acked: \#{acked[0]}")
      m.enqueue(:key, nil, 0, 1)
      same(true, m.drain(timeout: 10), "drain")
      same(1, acked[0].last, "acked after the revoke")
      expect_intact(m)
      passed
    RUBY
  end

  it "may request the shutdown" do
    %w[work on_done on_error ack].each do |name|
      expect_child_to_pass(<<~RUBY)
        m = nil
        callbacks = { work: ->(*) { raise "on" if #{name == "on_error"} } }
        m = manager(**callbacks.merge(#{name}: ->(*) { m.request_shutdown }))
        m.enqueue(:key, nil, 0, 0)
        wait_until("winds down") { manager_threads.empty? }
        same(true, m.shutdown(timeout: 10), "shutdown")
        same(1, m.total_acked, "acked")
        passed
      RUBY
    end
  end
end
