# frozen_string_literal: true

require "spec_helper"

# Who kills a pool of threads does not ask when: while one of ours dies already, or is counted on by somebody.
RSpec.describe "Killing a thread of the manager" do
  # A key whose #hash and #eql? call the intruder, which is told how often it was called.
  key_class = <<~RUBY
    class Intruded
      class << self
        attr_accessor :intruder
      end
      attr_reader :name

      def initialize(name) = @name = name
      def hash = (Intruded.intruder&.call; @name.hash)
      def eql?(other) = (Intruded.intruder&.call; other.is_a?(Intruded) && @name == other.name)
    end
    kill_workers = -> { workers.each { |worker| worker.kill.join } }
  RUBY

  # Which of the calls of #hash and #eql? comes after the worker was started is up to enqueue.
  { "the sub key" => ["Intruded.new(:b)", ":p"], "the partition" => [":b", "Intruded.new(:p)"],
    "both" => ["Intruded.new(:b)", "Intruded.new(:p)"] }.each do |what, (key, partition)|
    it "leaves no message behind when it is a worker, while enqueue looks #{what} up (I5)" do
      expect_child_to_pass(<<~RUBY)
        #{key_class}
        (1..6).each do |moment|
          m = manager(concurrency: 1)
          m.enqueue(#{key}, nil, #{partition}, 0)
          wait_until("worked") { worked.size == 1 && m.total_acked == 1 }
          kill_workers.call # so the next enqueue starts one
          calls = 0
          Intruded.intruder = lambda do
            calls += 1
            next unless calls == moment

            # One that was started arrives, and is killed parked.
            wait_until("a worker") { workers.any? { |one| one.status == "sleep" } } unless m.stats[:workers].zero?
            kill_workers.call
          end
          m.enqueue(#{key}, nil, #{partition}, 1)
          Intruded.intruder = nil
          time = seconds { wait_until("worked on, killed at call \#{moment} of \#{calls}") { worked.size == 2 } }
          check(time < 5, "worked on soon: \#{time}")
          same(true, m.drain(timeout: 5), "drain")
          same(true, m.shutdown(timeout: 5), "shutdown")
          worked.clear
        end
        passed
      RUBY
    end

    it "acknowledges all when it is the acknowledger, while enqueue looks #{what} up (I5)" do
      expect_child_to_pass(<<~RUBY)
        #{key_class}
        (1..6).each do |moment|
          m = manager
          m.enqueue(#{key}, nil, #{partition}, 0)
          same(true, m.drain(timeout: 5), "drain")
          calls = 0
          Intruded.intruder = lambda do
            calls += 1
            acknowledger.kill.join if calls == moment
          end
          m.enqueue(#{key}, nil, #{partition}, 1)
          Intruded.intruder = nil
          wait_until("acknowledged, killed at call \#{moment} of \#{calls}", 4) { m.total_acked == 2 }
          same(true, m.shutdown(timeout: 5), "shutdown")
        end
        passed
      RUBY
    end
  end

  # What arrives while it is dying already, as many as come.
  volleys = {
    "a kill and exceptions" => "victim.kill; 20.times { victim.raise(IOError, 'again') }",
    "exceptions and a kill" => "20.times { victim.raise(IOError, 'again') }; victim.kill",
    "exceptions one after the other" => "50.times { victim.raise(IOError, 'again'); Thread.pass }",
    "exceptions as long as it lives" =>
      "begin; victim.raise(IOError, 'again'); Thread.pass; end while victim.alive? && now < limit",
    "exceptions of every kind" => "[IOError, Exception, Interrupt, NoMemoryError].each { |e| victim.raise(e, 'x') }",
    "kills and exceptions from several threads" => <<~RUBY
      volleys = [-> { victim.kill }, -> { victim.raise(IOError, "again") }] * 2
      volleys.map { |shoot| Thread.new { 20.times { shoot.call && Thread.pass } } }.each(&:join)
    RUBY
  }
  volleys.each do |name, volley|
    it "replaces an acknowledger that gets #{name}, with nobody but workers to notice (I5)" do
      expect_child_to_pass(<<~RUBY, stderr: //)
        Thread.report_on_exception = false
        gate = Queue.new
        m = manager(concurrency: 1, work: ->(*) { gate.pop })
        20.times do |round|
          m.enqueue(:key, nil, 0, round)
          wait_until("at work") { gate.num_waiting == 1 }
          victim = acknowledger
          wait_for_sleep(victim)
          limit = now + 0.1
          #{volley}
          wait_until("dead") { !victim.alive? }
          gate << true
          wait_until("acked in round \#{round}: \#{m.stats}", 3) { acked[0].size == round + 1 }
        end
        gate.close
        same(nil, m.stats[:fatal], "fatal")
        same((0...20).to_a, acked[0], "acked")
        expect_intact(m)
        passed
      RUBY
    end

    # It is called and gets the volley before it can come, so that its message needs another.
    it "replaces a worker that gets #{name} when it has just been called (I5)" do
      expect_child_to_pass(<<~RUBY, stderr: //)
        Thread.report_on_exception = false
        m = manager(concurrency: 1)
        expected = 0
        30.times do
          m.enqueue(:key, nil, 0, expected)
          wait_until("acked") { m.total_acked == expected + 1 && workers.size == 1 }
          victim = workers.first
          wait_for_sleep(victim)
          limit = now + 0.1
          m.enqueue(:key, nil, 0, expected + 1)
          #{volley}
          # Had it begun nevertheless, that is another story: a kill at work is fatal.
          break if m.stats[:fatal]

          expected += 2
          wait_until("acked \#{expected}: \#{m.stats}", 3) { m.total_acked == expected || m.stats[:fatal] }
          break if m.stats[:fatal]
        end
        m.shutdown(timeout: 5)
        wait_until("no thread left") { manager_threads.empty? }
        passed
      RUBY
    end
  end

  # Now what it holds is cut off in the middle, and what comes then must not leave half of it behind.
  { "a kill and exceptions" => volleys["a kill and exceptions"],
    "exceptions and a kill" => volleys["exceptions and a kill"] }.each do |name, volley|
    it "replaces an acknowledger that gets #{name} inside ack, and leaves no offset in flight (I5)" do
      expect_child_to_pass(<<~RUBY, stderr: //)
        Thread.report_on_exception = false
        in_ack = Queue.new
        hang = true
        m = manager(ack: lambda do |partition, offset|
          if hang
            in_ack << Thread.current
            sleep
          end
          acked[partition] << offset
        end)
        5.times do |round|
          hang = true
          m.enqueue(:key, nil, 0, round)
          victim = in_ack.pop
          hang = false
          #{volley}
          begin
            ended(victim)
          rescue IOError
            nil
          end
          break if m.shutting_down? # an exception that came first is one of ack

          same(true, m.drain(timeout: 3), "drain of round \#{round}: \#{m.stats}")
        end
        done = m.shutdown(timeout: 5)
        same(m.stats[:fatal].nil?, done, "shutdown")
        wait_until("no thread left") { manager_threads.empty? }
        passed
      RUBY
    end

    it "lets the manager end when a worker gets #{name} at work (I5)" do
      expect_child_to_pass(<<~RUBY, stderr: //)
        Thread.report_on_exception = false
        10.times do
          at_work = Queue.new
          m = manager(concurrency: 2, work: ->(message, _, offset) { message ? (at_work << Thread.current; sleep) : worked << offset })
          m.enqueue(:victim, true, 0, 0)
          victim = at_work.pop
          m.enqueue(:other, nil, 1, 0)
          #{volley}
          begin
            ended(victim)
          rescue IOError
            nil
          end
          m.shutdown(timeout: 5)
          wait_until("no thread left") { manager_threads.empty? }
          same([0], acked[1], "acked of the other partition")
          acked.clear
        end
        passed
      RUBY
    end
  end
end
