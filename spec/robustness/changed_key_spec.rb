# frozen_string_literal: true

require "spec_helper"

# A String is the caller's to change: a reused buffer, Message#key.
RSpec.describe "A String that is changed while enqueue has it" do
  # `work` of two messages of one sub key at once would be seen.
  prelude = <<~RUBY
    gate = Queue.new
    running = Hash.new(0)
    worked_by_key = Hash.new { |hash, key| hash[key] = [] }
    work = lambda do |message, _, offset|
      next gate.pop if message == :held

      next unless (key = message)

      give_up("two at work for \#{key}") if running[key] > 0
      running[key] += 1
      worked_by_key[key] << offset
      sleep 0.05
      running[key] -= 1
    end
  RUBY
  # A manager that is full in this way, and the enqueue that waits; gate.close makes room.
  full = {
    "for max_in_flight" => ["max_in_flight: 2", <<~RUBY],
      m.enqueue("x", :held, 0, 0)
      m.enqueue("y", :held, 0, 1)
    RUBY
    "for its sub key" => ["max_in_queue: 1", <<~RUBY]
      m.enqueue("account 1", :held, 0, 0)
      wait_until("at work") { gate.num_waiting == 1 }
      m.enqueue("account 1", :held, 0, 1)
    RUBY
  }
  changes = { "replaced" => "key.replace('account 2')", "made longer" => "key << ' and more' * 100",
              "emptied" => "key.clear", "made another encoding's" => "key.force_encoding('BINARY') << 0xFF" }

  full.each do |how, (settings, fill)|
    changes.each do |what, change|
      it "goes in as it is when there is room, #{what} while it waits #{how} (I1, I2)" do
        expect_child_to_pass(<<~RUBY)
          #{prelude}
          m = manager(work: work, #{settings})
          #{fill}
          key = +"account 1"
          partition = +"partition"
          blocked = asleep_in { m.enqueue(key, "two", partition, 0) }
          #{change}
          partition << "changed"
          gate.close
          same(true, ended(blocked).value, "enqueue")
          m.enqueue("account 1", "one", "partition", 1, timeout: 5)
          m.enqueue(key, "two", partition, 2, timeout: 5)
          m.enqueue(key.dup, "two", partition.dup, 3, timeout: 5)
          same(true, m.drain(timeout: 5), "drain")
          same({ "one" => [1], "two" => [0, 2, 3] }, worked_by_key.sort.to_h, "worked")
          same([[1], [0, 2, 3]], acked.values_at("partition", partition), "acked")
          same(0, m.stats[:sub_keys], "sub keys")
          same(["0", "partition", partition], m.stats[:partitions].keys.map(&:to_s).sort, "partitions")
          same([], m.revoke("partitions"), "dropped of no partition")
          expect_intact(m)
          passed
        RUBY
      end
    end
  end

  # Its own hash is taken, then Ruby code of the other runs.
  { "the partition's #hash" => ["on_hash", "key", "Odd.new(1)"],
    "the partition's #eql?" => ["on_eql", "key", "Odd.new(1)"],
    "the sub key's #hash" => ["on_hash", "Odd.new(1)", "key"],
    "the sub key's #eql?" => ["on_eql", "Odd.new(1)", "key"] }.each do |name, (hook, sub_key, partition)|
    it "goes in as it was, changed by #{name} (I1, I3)" do
      expect_child_to_pass(<<~RUBY)
        class Odd
          class << self
            attr_accessor :on_hash, :on_eql
          end
          attr_reader :name

          def initialize(name) = @name = name
          def hash = (Odd.on_hash&.call; 42)
          def eql?(other) = (Odd.on_eql&.call; other.is_a?(Odd) && name == other.name)
        end
        gate = Queue.new
        m = manager(concurrency: 2, work: ->(message, _, offset) { gate.pop if message; worked << offset })
        key = +"key 1"
        m.enqueue(#{sub_key}, true, #{partition}, 0)
        wait_until("at work") { gate.num_waiting == 1 }
        Odd.#{hook} = -> { key.replace("key 2 of another length") }
        m.enqueue(#{sub_key}, nil, #{partition}, 1)
        Odd.#{hook} = nil
        key.replace("key 1")
        m.enqueue(#{sub_key}, nil, #{partition}, 2)
        if "#{partition}" == "key"
          same(["key 1"], m.stats[:partitions].keys, "partitions")
        else
          same(1, m.stats[:sub_keys], "sub keys")
        end
        gate.close
        same(true, m.drain(timeout: 5), "drain")
        same([0, 1, 2], worked, "worked in order")
        same(3, m.total_acked, "acked")
        same(0, m.stats[:sub_keys], "sub keys")
        expect_intact(m)
        passed
      RUBY
    end
  end

  it "leaves no entry behind although other threads change keys all the time (I5)" do
    expect_child_to_pass(<<~RUBY)
      m = manager(concurrency: 6, max_in_queue: 1, max_in_flight: 8)
      buffers = Array.new(4) { +"key 0" }
      stop = false
      changer = Thread.new { (buffers.each { |one| one.replace("key \#{rand(4)}") }; Thread.pass) until stop }
      feeders = buffers.each_with_index.map do |buffer, n|
        Thread.new do
          200.times do |offset|
            m.enqueue(buffer, nil, n, offset)
          end
        end
      end
      feeders.each { |feeder| ended(feeder, 40) }
      stop = true
      ended(changer)
      same(true, m.drain(timeout: 10), "drain")
      same(800, worked.size, "worked")
      same(0, m.stats[:sub_keys], "sub keys")
      expect_intact(m)
      passed
    RUBY
  end
end
