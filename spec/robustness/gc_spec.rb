# frozen_string_literal: true

require "spec_helper"

RSpec.describe "The garbage collector" do
  # Objects with content, so that a freed or moved one shows.
  prelude = <<~RUBY
    require "#{File.expand_path("../support/compaction", __dir__)}"
    Key = Struct.new(:name)
    Message = Struct.new(:text, :number)
    def key_of(number) = number.even? ? Key.new("key \#{number % 7}") : +"string key \#{number % 5}"
    def message_of(number) = Message.new("message \#{number}", number)
    def intact?(message, number) = message.text == "message \#{number}" && message.number == number
  RUBY

  it "may run at every allocation" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      #{prelude}
      broken = []
      m = manager(concurrency: 3, max_in_queue: 2, max_in_flight: 8,
                  work: lambda do |message, partition, offset|
                    broken << offset unless intact?(message, offset) && partition.text == "partition"
                    raise "error \#{offset}" if (offset % 5).zero?
                    worked << offset
                  end,
                  on_done: ->(message, _, offset) { broken << offset unless intact?(message, offset) },
                  on_error: ->(error, _, _partition, offset) { worked << offset if error.message == "error \#{offset}" },
                  ack: ->(partition, offset) { acked[partition.text] << offset })
      GC.stress = true
      12.times { |offset| m.enqueue(key_of(offset), message_of(offset), Message.new("partition"), offset) }
      m.try_enqueue(key_of(12), message_of(12), Message.new("partition"), 12) until m.total_enqueued == 13
      m.flush
      m.stats
      m.report(detailed: true)
      done = m.drain(timeout: 50)
      dropped = m.revoke(Message.new("partition"))
      down = m.shutdown(timeout: 50)
      GC.stress = false
      same(true, done, "drain")
      same([], dropped, "dropped")
      same(true, down, "shutdown")
      same([], broken, "broken")
      same((0..12).to_a, worked.sort, "worked")
      same((0..12).to_a, acked["partition"], "acked")
      passed
    RUBY
  end

  it "may run at every allocation of a manager that fails, is killed, turns away and is revoked" do
    expect_child_to_pass(<<~RUBY, limit: 60, stderr: //)
      #{prelude}
      gate = Queue.new
      m = manager(concurrency: 2, max_in_queue: 3, work: ->(*) { gate.pop })
      GC.stress = true
      4.times { |offset| m.enqueue(Key.new("a"), message_of(offset), Key.new("p"), offset) }
      raised(WorkShaper::Full) { m.enqueue(Key.new("a"), message_of(4), Key.new("p"), 4, timeout: 0.01) }
      raised(TypeError) { m.enqueue(Key.new("a"), nil, 0, "offset") }
      raised(ArgumentError) { m.enqueue(Key.new("a"), nil, 0, -1) }
      raised(ArgumentError) { manager(concurrency: 0) }
      dropped = m.revoke(Key.new("p"))
      worker = workers.first
      worker&.kill
      gate.close
      m.shutdown(timeout: 20)
      m.stats
      GC.stress = false
      wait_until("no thread left") { manager_threads.empty? }
      check(dropped.all? { |key, message, partition, offset| key.name == "a" && intact?(message, offset) && partition.name == "p" },
            "what was dropped is whole: \#{dropped}")
      passed
    RUBY
  end

  it "may move every object while messages wait, run and are acknowledged" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      #{prelude}
      if Compaction.supported?
        GC.auto_compact = true
        broken = []
        m = manager(concurrency: 4, max_in_queue: 40, max_in_flight: 200,
                    work: lambda do |message, _, offset|
                      Thread.pass
                      broken << offset unless intact?(message, offset)
                    end,
                    ack: ->(partition, offset) { acked[partition] << offset; broken << partition unless partition == "part" })
        offset = 0
        30.times do
          # Fresh objects in between make holes and moves.
          rubbish = Array.new(2_000) { |n| "rubbish \#{n}" }
          50.times { m.enqueue(key_of(offset), message_of(offset), +"part", offset); offset += 1 }
          rubbish = nil
          Compaction.move
          m.stats
          m.inspect
        end
        GC.auto_compact = false
        Compaction.verify
        same(true, m.drain(timeout: 10), "drain")
        same([], broken, "broken")
        same((0...offset).to_a, acked["part"], "acked")
        expect_intact(m)
      end
      passed
    RUBY
  end

  it "keeps what only a blocked call refers to, and what a revoke returns" do
    expect_child_to_pass(<<~RUBY, limit: 40)
      #{prelude}
      gate = Queue.new
      seen = []
      m = manager(work: ->(message, _, offset) { gate.pop; seen << message.text }, max_in_queue: 2, max_in_flight: 6)
      3.times { |offset| m.enqueue(Key.new("a"), message_of(offset), Key.new("p"), offset) }
      blocked = asleep_in { m.enqueue(Key.new("a"), message_of(3), Key.new("p"), 3) }
      3.times { |offset| m.enqueue(Key.new("b"), message_of(offset + 10), Key.new("q"), offset + 10) }
      flying = asleep_in { m.enqueue(Key.new("c"), message_of(20), Key.new("q"), 20) }
      5.times do
        Array.new(5_000) { |n| "rubbish \#{n}" }
        GC.start
        Compaction.move
        GC.start(full_mark: false)
      end
      dropped = m.revoke(Key.new("q"))
      Compaction.verify
      same([11, 12], dropped.map(&:last), "dropped")
      check(dropped.all? { |key, message, partition, offset| key.name == "b" && intact?(message, offset) && partition.name == "q" },
            "what was dropped is whole: \#{dropped}")
      gate.close
      [blocked, flying].each { |thread| same(true, ended(thread).value, "a blocked one") }
      same(true, m.drain(timeout: 10), "drain")
      same(["message 0", "message 1", "message 2", "message 3"], seen.grep_v(/message [12]\\d/), "seen of a")
      expect_intact(m)
      passed
    RUBY
  end

  # The manager and its queues grow old; what they are given is young and referred to by nothing else.
  it "keeps young objects that only an old manager refers to" do
    expect_child_to_pass(<<~RUBY, limit: 40)
      #{prelude}
      gate = Queue.new
      broken = []
      m = manager(max_in_queue: 10_000, concurrency: 3,
                  work: ->(message, _, offset) { gate.pop; broken << offset unless intact?(message, offset) })
      m.enqueue(Key.new("0"), message_of(0), 0, 0)
      5.times { GC.start }
      (1..6_000).each do |offset|
        m.enqueue(key_of(offset), message_of(offset), offset % 3, offset)
        GC.start(full_mark: false) if (offset % 100).zero?
      end
      GC.start
      Array.new(50_000) { |n| "rubbish \#{n}" }
      gate.close
      same(true, m.drain(timeout: 20), "drain")
      same([], broken, "broken")
      expect_intact(m)
      passed
    RUBY
  end

  it "keeps the callbacks that only the manager refers to" do
    expect_child_to_pass(<<~RUBY, limit: 40)
      #{prelude}
      class Callback
        def initialize(list, name) = (@list, @name = list, "callback \#{name}")
        def call(*) = (@list << @name; raise "on" if @name.end_with?("work") && @list.size.odd?)
      end
      list = []
      managers = Array.new(20) do
        WorkShaper::Manager.new(work: Callback.new(list, "work"), ack: Callback.new(list, "ack"), heartbeat_period_sec: 0,
                                on_done: Callback.new(list, "on_done"), on_error: Callback.new(list, "on_error"))
      end
      Array.new(50_000) { |n| "rubbish \#{n}" }
      GC.start
      Compaction.verify
      managers.each { |m| 5.times { |offset| m.enqueue(offset, nil, 0, offset) } }
      managers.each { |m| m.shutdown(timeout: 10) }
      check(list.all? { |name| name.start_with?("callback ") }, "names: \#{list.uniq}")
      passed
    RUBY
  end

  it "can look into a manager" do
    expect_child_to_pass(<<~RUBY)
      require "objspace"
      gate = Queue.new
      m = manager(work: ->(*) { gate.pop })
      messages = Array.new(20) { |n| "message \#{n}" }
      messages.each_with_index { |message, offset| m.enqueue(offset % 3, message, 0, offset) }
      reachable = ObjectSpace.reachable_objects_from(m)
      check(reachable.is_a?(Array), "reachable objects")
      small = ObjectSpace.memsize_of(m)
      check(small.positive?, "size")
      ObjectSpace.dump(m)
      2_000.times { |offset| m.enqueue(100 + offset, nil, 0, 100 + offset) }
      check(ObjectSpace.memsize_of(m) > small, "it grows with what waits")
      gate.close
      expect_intact(m)
      passed
    RUBY
  end
end
