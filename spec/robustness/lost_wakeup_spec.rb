# frozen_string_literal: true

require "spec_helper"

# Ruby runs finalizers in whatever thread comes by, also within the very sleep of one that waits for us; one that waits
# itself takes a wake-up that comes meanwhile for its own. (A signal handler does the same to the main thread.)
RSpec.describe "A wake-up that gets lost" do
  # GC.stress has the next allocation collect garbage, whose finalizer then runs where that thread next looks at
  # interrupts: in its sleep, if there is no Ruby code in between.
  prelude = <<~RUBY
    GO_ON = Queue.new
    # It is the thread's that is to be intruded, and once: a finalizer that runs elsewhere does nothing.
    FINALIZER = proc do |_|
      if Thread.current.thread_variable_get(:chance)
        GC.stress = false
        Thread.current.thread_variable_set(:chance, false)
        %WAIT%
      end
    end

    # Deep frames: nothing of it stays on this stack.
    def garbage(depth = 10)
      50.times { ObjectSpace.define_finalizer(Object.new, FINALIZER) }
      garbage(depth - 1) unless depth.zero?
      nil
    end

    def with_garbage
      GC.disable
      garbage
      Thread.current.thread_variable_set(:chance, true)
      GC.enable
      GC.stress = true
      yield
    ensure
      Thread.current.thread_variable_set(:chance, false)
      GC.stress = false
    end

    # A thread that sleeps in the block, with a finalizer in its sleep. Where that ran elsewhere there is less to see.
    def intruded(&block)
      thread = Thread.new { with_garbage(&block) }
      thread.report_on_exception = false
      Thread.pass until thread.stop?
      sleep 0.02
      GC.stress = false
      thread
    end

    # The finalizer goes on when the wake-up has come and gone.
    def go_on
      sleep 0.02
      GO_ON << true
    end

    # A look every 100 ms, on a busy machine.
    def soon(what, limit = 10)
      before = now
      wait_until(what, limit) { yield }
      check(now - before < 5, "\#{what} after \#{now - before} s")
    end
  RUBY
  waits = { "sleeps" => "sleep 0.2", "pops from a queue" => "GO_ON.pop", "joins" => "Thread.new { GO_ON.pop }.join" }
  calls = {
    "enqueue on a full manager" => ["max_in_flight: 1", "m.enqueue(+'a key', nil, 0, 1)"],
    "enqueue with a timeout" => ["max_in_flight: 1", "m.enqueue(+'a key', nil, 0, 1, timeout: 60)"],
    "enqueue on a full sub key" => ["max_in_queue: 1", "m.enqueue(+'key', nil, 0, 2)"],
    "drain" => ["concurrency: 2", "m.drain"],
    "shutdown" => ["concurrency: 2", "m.shutdown"],
    "flush" => ["ack: ->(*) { gate.pop }, work: ->(*) {}", "m.flush"]
  }

  waits.each do |how, wait|
    calls.each do |name, (settings, call)|
      it "costs #{name} little, when a finalizer #{how} in its sleep (I5)" do
        expect_child_to_pass(<<~RUBY, limit: 30)
          #{prelude.sub("%WAIT%", wait)}
          4.times do
            gate = Queue.new
            m = manager(**{ work: ->(*) { gate.pop } }.merge(#{settings}))
            m.enqueue("key", nil, 0, 0)
            wait_until("at the gate") { gate.num_waiting == 1 }
            m.enqueue("key", nil, 0, 1) if #{settings.include?("max_in_queue")}
            thread = intruded { #{call} }
            gate.close # it is woken now
            wait_until("acked") { m.total_acked >= 1 }
            go_on
            soon("#{name} returns") { !thread.alive? }
            GO_ON.clear
            same(true, m.shutdown(timeout: 10), "shutdown")
          end
          passed
        RUBY
      end
    end
  end
end
