# frozen_string_literal: true

require "spec_helper"

# At the end Ruby tells all threads to die, once, and waits for them: a thread that is started after that would live for
# ever, and a wait for one that is dead, too.
RSpec.describe "The end of the process, while dying threads use the manager" do
  soon = 4 # seconds, of which a drain of ours may take one

  uses = {
    "enqueue" => "m.enqueue(:late, nil, 0, 1_000)",
    "enqueue on many sub keys" => "50.times { |n| m.enqueue(n, nil, n % 3, 1_000) }",
    "try_enqueue" => "m.try_enqueue(:late, nil, 0, 1_000)",
    "drain without a timeout" => "m.drain",
    "drain with a timeout" => "m.drain(timeout: 1)",
    "flush" => "m.flush",
    "shutdown" => "m.shutdown",
    "shutdown with a timeout" => "m.shutdown(timeout: 1)",
    "request_shutdown and drain" => "m.request_shutdown; m.drain",
    "revoke" => "m.revoke(0)",
    "revoke and enqueue" => "m.revoke(0); m.enqueue(:late, nil, 0, 1)",
    "everything it has left" => "(1..100).each { |n| m.enqueue(:left, nil, 0, 1_000 + n) }; m.drain; m.shutdown",
    "a manager of its own" => "one = manager; one.enqueue(:key, nil, 0, 0); one.drain; one.shutdown",
    "batches" => "b = WorkShaper::Batches.new(heartbeat_period_sec: 0) { }; b.process([1, 2, 3], sub_key: nil)"
  }
  masks = { "" => "yield", " that is deaf to its kill" => "Thread.handle_interrupt(Object => :never) { yield }" }

  # Managers in different states, each with a thread that does `use` when it dies.
  script = lambda do |use, mask|
    <<~RUBY
      require "work_shaper/batches"
      Thread.report_on_exception = false
      def masked = #{mask}
      begun = Queue.new
      gate = Queue.new
      managers = [
        manager, # has nothing to do
        manager(offset_commit_period_ms: 600_000), # has not acknowledged all
        manager(concurrency: 1, work: ->(*) { gate.pop }), # works and has more
        manager(ack: ->(*) { gate.pop }), # acknowledges
        manager(max_in_flight: 1, work: ->(*) { gate.pop }) # is full
      ]
      managers.each_with_index do |m, number|
        Thread.new do
          masked do
            m.enqueue(:key, nil, 0, 0)
            wait_until("acked") { m.total_acked == 1 } if number < 2
            m.enqueue(:other, nil, 0, 1) if number.between?(1, 3)
            begun << true
            # Who is deaf to its kill notices the end only by what is left to it.
            Thread.handle_interrupt(Object => :on_blocking) { sleep }
          ensure
            #{use}
          end
        end
      end
      managers.size.times { begun.pop }
      wait_until("at work") { gate.num_waiting >= 2 }
    RUBY
  end

  def seconds_to_end(script, ending, **options)
    result = run_ruby("#{script}\nputs now\n$stdout.flush\n#{ending}", limit: 8, **options)
    [result.ended_at - Float(result.stdout.lines.last), result]
  end

  masks.each do |state, mask|
    uses.each do |name, use|
      it "comes although a thread#{state} does this in its ensure: #{name} (I8)" do
        seconds, result = seconds_to_end(script.call(use, mask), "")
        expect(result.status.exitstatus).to eq(0), -> { result.to_s }
        expect(seconds).to be < soon, -> { result.to_s }
      end
    end
  end

  endings = {
    "exit" => ["exit 3", 3, nil, /\A\z/],
    "exit on another thread" => ["Thread.new { exit 4 }; sleep", 4, nil, /\A\z/],
    "exit in work" => ["manager(work: ->(*) { exit 5 }).enqueue(:key, nil, 0, 0); sleep", 5, nil, /\A\z/],
    "abort" => ["abort 'gone'", 1, nil, /\Agone\n\z/],
    "an exception that nobody rescues" => ["raise 'gone'", 1, nil, /gone/],
    "SIGTERM" => ["Process.kill(:TERM, Process.pid); sleep", nil, 15, /\A\z/],
    "SIGINT" => ["Process.kill(:INT, Process.pid); sleep", nil, 2, /Interrupt|\A\z/],
    "SIGHUP" => ["Process.kill(:HUP, Process.pid); sleep", nil, 1, //]
  }
  endings.each do |name, (ending, status, signal, words)|
    { "enqueues and drains" => "m.enqueue(:late, nil, 0, 1_000); m.drain",
      "flushes and shuts down" => "m.flush; m.shutdown" }.each do |what, use|
      it "by #{name} comes although a thread #{what} in its ensure (I8)" do
        seconds, result = seconds_to_end(script.call(use, masks.fetch("")), ending)
        expect([result.status.exitstatus, result.status.termsig]).to eq([status, signal]), -> { result.to_s }
        expect(result.stderr).to match(words), -> { result.to_s }
        expect(seconds).to be < soon, -> { result.to_s }
      end
    end
  end

  it "comes although a worker and an acknowledger do it in the ensure of work and ack (I8)" do
    seconds, result = seconds_to_end(<<~RUBY, "")
      gate = Queue.new
      m = nil
      again = -> { m.enqueue(:late, nil, 1, 1_000 + rand(1_000)) }
      work = lambda do |*|
        gate.pop
      ensure
        again.call
      end
      m = manager(concurrency: 3, work: work)
      3.times { |offset| m.enqueue(offset, nil, 0, offset) }
      other = manager(ack: lambda do |*|
        gate.pop
      ensure
        other.enqueue(:late, nil, 1, 5)
        m.drain(timeout: 0.2)
      end)
      other.enqueue(:key, nil, 0, 0)
      wait_until("all inside") { gate.num_waiting == 4 }
    RUBY
    expect(result.status.exitstatus).to eq(0), -> { result.to_s }
    expect(seconds).to be < soon, -> { result.to_s }
  end

  it "comes although threads that others start while they die use it (I8)" do
    seconds, result = seconds_to_end(<<~RUBY, "")
      Thread.report_on_exception = false
      m = manager
      begun = Queue.new
      Thread.new do
        m.enqueue(:key, nil, 0, 0)
        begun << true
        sleep
      ensure
        m.enqueue(:late, nil, 0, 1)
        m.flush
        m.drain(timeout: 1)
      end
      Thread.new do
        begun << true
        sleep
      ensure
        100.times { |n| Thread.pass; m.try_enqueue(n, nil, 1, n) }
      end
      2.times { begun.pop }
      at_exit { m.enqueue(:at_exit, nil, 2, 0) }
    RUBY
    expect(result.status.exitstatus).to eq(0), -> { result.to_s }
    expect(seconds).to be < soon, -> { result.to_s }
  end
end
