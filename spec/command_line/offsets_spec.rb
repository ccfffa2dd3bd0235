# frozen_string_literal: true

require_relative "../support/kafka/suite"

# What the mock cluster cannot: it does not say who is in a group, and has no transactions.
RSpec.describe "The commands on a group", kafka: :real, watchdog: 120 do
  let(:topic) { kafka_topic(partitions: 2) }
  let(:group) { kafka_group(topic) }
  let(:maps) { WorkShaper.const_get(:OffsetMap) }

  def command(name, *arguments, **options)
    work_shaper(name, group.name, *arguments, servers: group.servers, **options)
  end

  def place(partition = 0)
    "#{topic.name}/#{partition}"
  end

  # Numbered messages of ten keys, all in one partition.
  def produce(count, partition: 0)
    topic.produce_each(Array.new(count) { |number| [partition, "k#{number % 10}", topic.payload] })
  end

  # Works on what is there until the block is true; a message whose number is in `hang` never comes to its end.
  def work_until(hang: [], **options, &block)
    done = Queue.new
    config = { "bootstrap.servers": group.servers, "group.id": group.name }
    consumer = WorkShaper::Consumer.new(config: config, topics: topic.name, signals: false, shutdown_timeout: 0,
                                        **options) do |message|
      sleep if hang.include?(message.offset)
      done << message.offset
    end
    running = Thread.new { consumer.run }
    await_kafka(-> { "only #{done.size} done: #{consumer.stats}" }) { block.call(done) }
    consumer.stop
    running.value
    Array.new(done.size) { done.pop }
  end

  # The consumer stands still at offset 5 and has finished all others.
  def stuck_at_five
    produce(30)
    work_until(hang: [5]) { |done| done.size == 27 } # 15 and 25 wait behind it on its key
    expect(group.committed[place]).to eq(5)
  end

  def expect_refused_while_members
    stuck = Thread.new { work_until { @go } }
    await_kafka(-> { "no members" }) { group.member_count == 1 }
    yield
  ensure
    @go = true
    stuck.join
  end

  describe "lag" do
    it "shows where a group without members is, and what is finished beyond" do
      stuck_at_five
      produce(4, partition: 1)
      called = command("lag")

      expect([called.status, called.stderr]).to eq([0, ""])
      rows = called.stdout.lines.map { |line| line.strip.split(/ {2,}/) }
      expect(rows.first).to eq(["#{group.name}: Empty, 0 members"])
      expect(rows[1]).to eq(["partition", "committed", "end", "lag", "finished beyond", "member"])
      expect(rows[2]).to eq([place, "5", "30", "25", "22", "-"])
      expect(rows[3]).to match([place(1), /0|-/, "4", /4|-/, /0|-/, "-"])
    end

    it "names the members, and says all of it as JSON" do
      expect_refused_while_members do
        await_kafka(-> { "no assignment" }) { JSON.parse(command("lag", "--json").stdout)["partitions"].any? }
        said = JSON.parse(command("lag", "--json").stdout)
        member = said["members"].first

        expect(said).to include("group" => group.name, "state" => "Stable")
        expect(member).to include("client" => "rdkafka", "host" => /127.0.0.1/, "partitions" => 2)
        expect(said["partitions"].map { |row| row.values_at("topic", "partition", "end", "member") })
          .to eq([[topic.name, 0, 0, member["id"]], [topic.name, 1, 0, member["id"]]])
        expect(command("lag").stdout).to include("1 member", member["id"], "lag in all: 0")
      end
    end

    it "says that there is no such group" do
      called = work_shaper("lag", "no\e[2Jgroup", servers: group.servers)
      expect([called.status, called.stdout]).to eq([1, ""])
      expect(called.stderr).to match(/\Awork_shaper: group "no\\\\?e\[2Jgroup" is not there: .*\n\z/)
    end
  end

  describe "skip" do
    it "leaves out the message at the committed offset, and nothing that is finished beyond is worked on again" do
      stuck_at_five
      called = command("skip", place, "5", input: CommandHelpers::Terminal.new("y\n"))

      expect([called.status, called.stderr]).to eq([0, ""])
      expect(called.stdout).to match(/#{place}: group .* is to leave out the message at offset 5: key "k5", .* bytes?,/)
      expect(called.stdout).to end_with("Go on? [y/N] #{place}: #{group.name} goes on from offset 15\n")
      expect(work_until { |done| done.size == 2 && group.committed[place] == 30 }.sort).to eq([15, 25])
    end

    it "takes the whole map away when nothing is left beyond" do
      produce(10)
      work_until(hang: [0]) { |done| done.size == 9 }
      expect(command("skip", place, "0", "--yes").stdout).to end_with("goes on from offset 10\n")
      expect(command("skip", place, "10", "--yes").stderr).to include("#{place} ends at 10: there is nothing to leave")
    end

    it "passes what a transaction leaves behind, also beyond" do
      topic.transact(3, of: 3, keys: 1) { |index| index != 1 } # 0 1 2 end 4 5 6 (aborted) end 8 9 10 end
      there = topic.contents.map(&:offset)
      work_until(hang: [there.first], sub_key: lambda(&:offset)) { |done| done.size == there.size - 1 }
      called = command("skip", place, there.first.to_s, "--yes")

      expect(called.status).to eq(0), -> { called.inspect }
      expect(JSON.parse(command("lag", "--json").stdout)["partitions"].first)
        .to include("finished_beyond" => 0, "committed" => be > there.last)
    end

    it "refuses another offset, a group that has nothing there, and partitions that are not" do
      stuck_at_five
      { [place, "4"] => /the committed offset of "#{group.name}" is 5, not 4$/,
        [place, "6"] => /the committed offset of .* is 5, not 6$/,
        ["#{topic.name}/2", "0"] => %r{/2 does not exist: #{topic.name} has 2 partitions, from 0 on$},
        ["no-such-topic/0", "0"] => /topic "no-such-topic" does not exist/ }.each do |arguments, message|
        called = command("skip", *arguments, "--yes")
        expect([called.status, called.stdout, called.stderr]).to match([1, "", message])
      end
      expect(group.committed[place]).to eq(5)
      other = work_shaper("skip", "#{group.name}-other", place, "0", "--yes", servers: group.servers)
      expect(other.stderr).to include("has nothing committed of #{place}; see reset")
    end
  end

  describe "reset" do
    it "works on everything from the offset on again, and keeps no map" do
      stuck_at_five
      called = command("reset", place, "3", "--yes")

      expect([called.status, called.stderr]).to eq([0, ""])
      expect(called.stdout).to include("is at 5, and is to go on from 3: the 2 offsets up to there")
      expect(work_until { |done| done.size == 27 && group.committed[place] == 30 }.sort).to eq((3...30).to_a)
    end

    it "says what is left out, and does nothing unless it is told yes" do
      stuck_at_five
      ["\n", "", "yes please\n"].each do |answer|
        called = command("reset", place, "latest", input: CommandHelpers::Terminal.new(answer))
        expect(called.status).to eq(1)
        expect(called.stdout).to match(/25 offsets will be left out: nobody .*\nGo on\? .*Nothing has changed\.\n\z/m)
      end
      expect(command("reset", place, "31", "--yes").stderr).to include("31 is not in #{place}, which has 0 to 30")
      expect(group.committed[place]).to eq(5)
    end

    it "begins a group, at the first offset or the last" do
      produce(7)
      expect(command("reset", place, "latest", "--yes").stdout)
        .to match(/has nothing committed there.*at 7\..* offset 7$/m)
      expect(command("reset", place, "earliest", "--yes").stdout).to end_with("goes on from offset 0\n")
      expect(group.committed).to eq(place => 0, place(1) => nil)
    end
  end

  %w[skip reset].each do |name|
    it "#{name} refuses while the group has members, and names them" do
      expect_refused_while_members do
        called = command(name, place, "0", "--yes")
        expect([called.status, called.stdout]).to eq([1, ""])
        expect(called.stderr)
          .to match(/group "#{group.name}" has members; stop them first: rdkafka-\S+ \(rdkafka at .*127.0.0.1\)$/)
      end
    end
  end

  it "reset refuses when members come, or the offset moves, while it asks" do
    stuck_at_five
    moved = Object.new
    moved.define_singleton_method(:tty?) { true }
    test = self
    moved.define_singleton_method(:gets) do
      test.work_shaper("reset", test.group.name, test.place, "7", "--yes", servers: test.group.servers)
      "y\n"
    end
    called = command("reset", place, "3", input: moved)

    expect([called.status, called.stderr]).to match([1, /the committed offset has changed meanwhile, to 7; look/])
    expect(group.committed[place]).to eq(7)
  end

  describe "replay" do
    let(:dead) { kafka_topic(partitions: 4) }

    def quick
      file("quick", "session.timeout.ms=#{session_ms}\nheartbeat.interval.ms=100\n")
    end

    def arguments(*more)
      ["replay", dead.name, "--to", topic.name, "--config", quick, "--brokers", kafka.servers, *more]
    end

    it "ends where nothing is left but the end of a transaction, or one that was aborted" do
      kafka.group("work_shaper-replay-#{dead.name}")
      dead.transact(4, of: 20, keys: 8) { |index| index < 2 }

      expect(work_shaper(*arguments)).to have_attributes(status: 0, stdout: /^40 letters sent$/)
      expect(work_shaper(*arguments)).to have_attributes(status: 0, stdout: "0 letters sent\n")
      expect(topic.contents.map(&:id).sort).to eq(dead.contents.map(&:id).sort)
    end

    it "is shared by those that run at the same time: each letter is sent once, after a kill 500 again at most" do
      name = kafka.group("work_shaper-replay-#{dead.name}")
      group = kept(KafkaSpecs::Group.new(kafka.servers, name, { dead.name => 4 }))
      sent = dead.produce(15_000, keys: 200).map(&:id)
      killed = program(*arguments)
      killed.wait_until("the first letters") { group.committed.values.any? }
      killed.signal(:KILL)
      killed.wait
      before = group.committed
      programs = [program(*arguments, limit: 60)]
      programs.first.wait_until("more letters") { group.committed != before }
      programs << program(*arguments, limit: 60)
      statuses = programs.map(&:wait)
      found = topic.contents.map(&:id)

      expect(statuses).to eq([0, 0]), -> { programs.join }
      expect(found.uniq.sort).to eq(sent.sort)
      expect(found.size - sent.size).to be_between(0, 500)
      topic.contents.group_by(&:key).each_value do |of_key|
        first = of_key.map(&:id).uniq
        expect(first).to eq(first.sort)
      end
    end
  end

  it "sees the members of a group of the new protocol (KIP-848), whether librdkafka can name them or not" do
    member = start_member("only", group, protocol: :consumer)
    member.await_assignment(2)
    refused = command("reset", place, "0", "--yes")
    expect(refused.stderr).to match(/group "#{group.name}" has members; stop them first: \S/)
    expect(command("lag").stdout).to match(/\A#{group.name}: \w+, (1 member|members that this librdkafka cannot name)$/)
    stop_members
    expect(command("reset", place, "0", "--yes").status).to eq(0)
  end
end
