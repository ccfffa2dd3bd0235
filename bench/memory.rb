# frozen_string_literal: true

require "objspace"
require_relative "traffic"

module Bench
  # What a waiting message costs, and how much resident memory stays after a million keys. The latter is measured in a
  # new process each time.
  module Memory
    KEYS = 100
    MILLION = 1_000_000
    WARM_UP = 5_000
    MEGABYTE = 1_048_576.0

    module_function

    # Bytes that ObjectSpace counts for the manager, per message that waits.
    def native_bytes(waiting)
      gate = Thread::Queue.new
      manager = Traffic.gated(gate, max_in_queue: waiting, max_in_flight: waiting)
      empty = ObjectSpace.memsize_of(manager)
      Traffic.enqueue(manager, Traffic.string_keys(KEYS), waiting)
      used = ObjectSpace.memsize_of(manager) - empty
      gate.close
      manager.drain
      Traffic.close(manager, waiting)
      used / waiting.to_f
    end

    # Megabytes that a million new keys leave behind, one after the other.
    def kept
      manager = Traffic.manager
      growth = growth_over { |numbers| enqueue_new_keys(manager, numbers) && manager.drain }
      manager.shutdown
      growth
    end

    # The same Strings made and thrown away: what Ruby keeps by itself.
    def kept_of_strings
      growth_over { |numbers| numbers.each { |number| "key-#{number}" } }
    end

    # A million keys that wait at the same time: [megabytes meanwhile, megabytes kept]. The block makes the keys.
    def waiting(&new_key)
      gate = Thread::Queue.new
      manager = Traffic.gated(gate, max_in_flight: MILLION)
      meanwhile = growth_over { |numbers| enqueue_new_keys(manager, numbers, &new_key) }
      before = resident
      gate.close
      manager.drain
      [meanwhile, meanwhile + resident - before]
    end

    # A million Strings at the same time in an Array: what Ruby keeps of them by itself.
    def waiting_strings
      held = []
      meanwhile = growth_over { |numbers| numbers.each { |number| held << "key-#{number}" } }
      before = resident
      held.clear
      [meanwhile, meanwhile + resident - before]
    end

    # How much the process grows over a million numbers, the first of which warm it up.
    def growth_over
      yield 0...WARM_UP
      before = resident
      yield WARM_UP...MILLION
      resident - before
    end

    def enqueue_new_keys(manager, numbers)
      numbers.each do |number|
        manager.enqueue(block_given? ? yield(number) : "key-#{number}", nil, 0, number)
      end
    end

    # Each round in a new process.
    def compare(table, name, **aim, &side)
      table.figure(name, unit: "MB", **aim) { Bench.apart(&side) }
    end

    # Resident megabytes of this process.
    def resident
      3.times { GC.start }
      status = "/proc/self/status"
      kilobytes = File.exist?(status) ? File.read(status)[/^VmRSS:\s+(\d+)/, 1] : `ps -o rss= -p #{Process.pid}`
      Integer(kilobytes.strip, 10) * 1_024 / MEGABYTE
    end
  end

  compare "memory", "what waiting messages and a million distinct keys cost" do |table|
    [100_000, 10_000].each do |waiting|
      table.figure("native bytes per message, #{waiting} waiting on 100 keys",
                   unit: "B", at_most: 96, rounds: 1) { Memory.native_bytes(waiting) }
    end
    Memory.compare(table, "resident, kept after 1,000,000 keys", at_most: 10) { Memory.kept }
    Memory.compare(table, "  after as many Strings without a manager") { Memory.kept_of_strings }
    Memory.compare(table, "resident, while 1,000,000 Integer keys wait") { Memory.waiting(&:itself).first }
    Memory.compare(table, "  kept after them") { Memory.waiting(&:itself).last }
    Memory.compare(table, "resident, while 1,000,000 String keys wait") { Memory.waiting.first }
    Memory.compare(table, "  kept after them") { Memory.waiting.last }
    Memory.compare(table, "  kept after as many Strings in an Array") { Memory.waiting_strings.last }
  end
end
