# frozen_string_literal: true

module KafkaSpecs
  # Five members of a group on two topics to which something happens all the time: TERM, SIGKILL, SIGSTOP for longer and
  # for less than a session, a broker that is killed and started, partitions that are added to the one topic, the other
  # deleted and made again. A seed gives what happens and to whom, in which order and after which time; what the members
  # make of it depends on the machine as well.
  #
  # Every round has all of it, in another order. What was ended is replaced at once or some steps later.
  class Chaos
    CREW = 5
    ROUND = %i[term term kill kill pause nap restart_broker add_partitions make_again].freeze
    MOST_PARTITIONS = 12
    KEYS = 12 # of a partition
    PATIENCE_SEC = 60
    TICK_SEC = 0.1
    # Beyond its end a broker has to see that a session is over.
    BEYOND_SESSION_SEC = 1.5
    NAP_SEC = 0.4
    AWAY_SEC = 10
    BEGIN_SEC = 2 # until members have seen that they begin in another log
    # For so long after a broker came back librdkafka may repeat commits, and members find out what they have lost.
    OUTAGE_SEC = 20

    # Moments in which brokers were away; names of members that were stopped for longer than their session.
    attr_reader :outages, :zombies
    # What was produced to the topic that stays; and to the other since it was last made.
    attr_reader :produced, :produced_again
    # What happened, in lines; and how often.
    attr_reader :story, :counts

    # `specs`: the example, for Helpers. `settings`: of each member; `session_sec`: its session.
    def initialize(specs, group, staying, changing, seed:, session_sec:, **settings)
      @specs = specs
      @group = group
      @staying = staying
      @changing = changing
      @random = Random.new(seed)
      @session_sec = session_sec
      @settings = settings
      @crew = []
      @leaving = []
      @paused = {}
      @began = now
      @outages, @zombies, @produced, @produced_again, @story = Array.new(5) { [] }
      @counts = Hash.new(0)
    end

    # Whole rounds until the time is over. After that all goes on and comes to its end, or it raises.
    def run(seconds)
      start until @crew.size == CREW
      loop do
        ROUND.shuffle(random: @random).each { |action| act(action) }
        break if now - @began > seconds * 1e9
      end
      settle
    end

    private

    def act(action)
      breathe(@random.rand(0.3..2.0))
      expect_running
      refill
      carry_out(action)
    end

    def carry_out(action)
      tell(action) if %i[restart_broker add_partitions make_again].include?(action)
      send(action)
    end

    # Nobody ends who was not asked to.
    def expect_running
      ended = @crew.find(&:broken_off?) or return
      raise MemberProcess::Failure, "#{ended.name} ended\n#{ended}"
    end

    # Messages come all the time.
    def breathe(seconds)
      deadline = now + (seconds * 1e9)
      while now < deadline
        produce(@random.rand(20..60))
        resume_due
        sleep TICK_SEC # this is the scenario, not a wait for something
      end
    end

    def produce(count)
      @produced.concat(@staying.produce_each(records(@staying, count)))
      @produced_again.concat(@changing.produce_each(records(@changing, count / 4))) unless @away
    end

    # A key stays with its partition when others are added.
    def records(topic, count)
      Array.new(count) do
        partition = @random.rand(topic.partitions)
        [partition, "#{partition}-#{@random.rand(KEYS)}", topic.payload]
      end
    end

    def refill
      missing = CREW - @crew.size
      missing.times { start if @crew.size < 2 || @random.rand < 0.6 }
    end

    def start
      name = "m#{@specs.members.size + 1}"
      tell(:start, name)
      @crew << @specs.start_member(name, @group, topics: [@staying.name, @changing.name], **@settings)
    end

    # One of those that are awake. (Of two pauses the log would keep the second.)
    def pick(action)
      awake = @crew - @paused.keys
      awake.select! { |member| may_sleep?(member) } if %i[pause nap].include?(action)
      member = awake.sample(random: @random)
      return unless member

      tell(action, member.name)
      member
    end

    # Not one that is starting: an outage meanwhile would end it.
    def may_sleep?(member)
      !@zombies.include?(member.name) && member.log.read.last("assigned")
    end

    def term
      member = pick(:term) or return
      member.term
      @leaving << @crew.delete(member)
    end

    def kill
      member = pick(:kill) or return
      member.kill
      @crew.delete(member)
    end

    def pause
      member = pick(:pause) or return
      member.pause
      @zombies << member.name
      @paused[member] = now + ((@session_sec + BEYOND_SESSION_SEC) * 1e9)
    end

    # Too short for anybody to see it.
    def nap
      member = pick(:nap) or return
      member.pause
      sleep NAP_SEC
      member.resume
    end

    def resume_due(moment = now)
      @paused.select { |_, due| due <= moment }.each_key do |member|
        tell(:resume, member.name)
        member.resume
        @paused.delete(member)
      end
    end

    def restart_broker
      cluster = @specs.kafka.cluster
      await_started
      killed_at = now
      cluster.kill(1)
      cluster.up
      @outages << (killed_at..(now + (OUTAGE_SEC * 1_000_000_000)))
    end

    def add_partitions
      return if @staying.partitions == MOST_PARTITIONS

      @staying.grow(@staying.partitions + 1)
      @group.grow(@staying)
    end

    # A consumer that starts while one of its topics is not there, or no broker, refuses to.
    def await_started
      @specs.await_kafka(-> { "not all have started" }, PATIENCE_SEC) do
        (@crew - @paused.keys).all? { |member| member.log.read.last("assigned") }
      end
    end

    # Members have to see that the topic is gone: when the id of one changes from one look to the next, librdkafka from
    # 2.4 to 2.9 frees what it knows of it twice (its issue 4964). They look once a second.
    def make_again
      resume_due(Float::INFINITY)
      await_started
      @changing.delete
      @produced_again.clear
      @away = true
      breathe(AWAY_SEC)
      @specs.create_again(@changing, PATIENCE_SEC)
      await_begun
      breathe(BEGIN_SEC)
      @away = false
    end

    # Nobody can tell the new log from the old one once it is as long as what is committed (docs/decisions/060, 078).
    def await_begun
      names = names_of(@changing)
      @specs.await_kafka(-> { "nobody has #{names}" }, PATIENCE_SEC) do
        (names - @crew.flat_map { |member| member.log.read.assignment }).empty?
      end
    end

    # All are there, have partitions, and work on what comes until all of it is committed; then they leave in order.
    def settle
      tell(:settle)
      resume_due(Float::INFINITY)
      start until @crew.size == CREW
      await_balance
      2.times { produce(200) }
      [@staying, @changing].each { |topic| await_committed(topic) }
      tell(:stop)
      @leaving.each { |member| counts[:stopped_without_commit] += 1 unless member.wait(PATIENCE_SEC) }
      @specs.stop_members(*@crew)
    end

    def await_balance
      wanted = [@staying, @changing].flat_map { |topic| names_of(topic) }
      held = nil
      @specs.await_kafka(-> { "unbalanced: #{held}, of #{wanted}" }, PATIENCE_SEC) do
        held = @crew.map { |member| member.log.read.assignment }
        held.all?(&:any?) && held.flatten.sort == wanted.sort
      end
    end

    def names_of(topic)
      Array.new(topic.partitions) { |number| "#{topic.name}/#{number}" }
    end

    # What is committed of a topic that was made again the group cannot be asked for by its own list.
    def await_committed(topic)
      group = Group.new(@group.servers, @group.name, { topic.name => topic.partitions })
      @specs.await_committed(group, topic, seconds: PATIENCE_SEC)
    ensure
      group&.close
    end

    def tell(action, *words)
      counts[action] += 1
      story << format("%<at>d %<sec>7.1f s %<what>s",
                      at: now, sec: (now - @began) / 1e9, what: [action, *words].join(" "))
    end

    def now
      KafkaSupport::ChildProcess.now
    end
  end
end
