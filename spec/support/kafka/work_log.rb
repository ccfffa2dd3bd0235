# frozen_string_literal: true

module KafkaSpecs
  # One piece of work on a message. `ended` is when the message was finished by it, nil when it never was. One that
  # `failed` does so only when it was the last, and a broker had confirmed the dead letter.
  Attempt = Struct.new(:member, :partition, :offset, :key, :id, :started, :failed, :ended, keyword_init: true) do
    # When it was over, if it came to that.
    def over
      failed || ended
    end
  end

  # The time in which a member had a partition, from the call that assigned it to the call that revoked it; `settled`
  # is when that returned. Without an end: up to its death, or now.
  Tenure = Struct.new(:member, :partition, :from, :to, :settled, :cause, keyword_init: true)

  # Reads the log of one member, also while it is written: what spec/support/kafka/member.rb appends.
  class WorkLog
    Event = Struct.new(:kind, :at, :words)
    # Of partitions that are lost both are written, in this order; the first counts.
    CAUSES = { "lost" => :lost, "revoke" => :revoked }.freeze

    # `latest`: the moment of the last line.
    attr_reader :member, :attempts, :tenures, :events, :finished, :given_up, :latest
    # When the process was gone, if it was killed; when it was stopped with SIGSTOP.
    attr_accessor :died_at, :paused_at

    # `whole_assignments`: what is assigned replaces what was, and what stays is delivered from what is committed once
    # more (KIP-848 on librdkafka before 2.15).
    def initialize(member, path, whole_assignments: false)
      @member = member
      @path = path
      @whole_assignments = whole_assignments
      @position = @latest = 0
      @attempts = []
      @running = {}
      @failed = {}
      @finished = @given_up = 0
      @tenures = []
      @held = {}
      @events = []
    end

    # Reads what was appended since the last time; a line that is not whole yet waits for the next.
    def read
      return self unless File.exist?(@path)

      File.open(@path) do |file|
        file.seek(@position)
        file.each_line do |line|
          break unless line.end_with?("\n")

          @position += line.bytesize
          take(*line.chomp.split)
        end
      end
      self
    end

    # The last event of a kind.
    def last(kind)
      events.reverse_each.find { |event| event.kind == kind }
    end

    # The partitions that it has now.
    def assignment
      @held.keys
    end

    # The same log as far as it is about one topic, and about the attempts for which the block is true.
    def about(topic, &chosen)
      dup.tap { |view| view.keep_only("#{topic}/", chosen) }
    end

    # Ends the time with each partition that a member had when it was killed.
    def close_tenures
      @held.each_value { |tenure| end_tenure(tenure, died_at, :died) } if died_at
      self
    end

    protected

    def keep_only(prefix, chosen)
      @attempts = @attempts.select { |attempt| attempt.partition.start_with?(prefix) }
      @attempts = @attempts.select(&chosen) if chosen
      @tenures = @tenures.select { |tenure| tenure.partition.start_with?(prefix) }
      @held = @held.select { |partition, _| partition.start_with?(prefix) }
    end

    private

    def take(kind, at, *words)
      @latest = at = Integer(at, 10)
      case kind
      when "+" then start(at, *words)
      when "-" then finish(at, *words)
      when "!" then fail_one(at, *words)
      when "dead" then bury(at, *words)
      else
        @events << Event.new(kind, at, words)
        take_event(kind, at, words)
      end
    end

    def start(at, partition, offset, key, id)
      attempt = Attempt.new(member: member, partition: partition, offset: offset.to_i, key: key, id: id.to_i,
                            started: at)
      @attempts << attempt
      (@running[[partition, offset]] ||= []) << attempt
    end

    def finish(at, partition, offset)
      @running.fetch([partition, offset]).shift.ended = at
      @finished += 1
    end

    def fail_one(at, partition, offset)
      attempt = @running.fetch([partition, offset]).shift
      attempt.failed = at
      @failed[[partition, offset]] = attempt
    end

    # Its message is a dead letter; perhaps not the only one, when it was delivered here once more meanwhile.
    def bury(at, partition, offset)
      @failed.delete([partition, offset])&.ended = at
      @finished += 1
      @given_up += 1
    end

    def take_event(kind, at, words)
      case kind
      when "replace" then @held.except(*words).each_value { |tenure| end_tenure(tenure, at, :revoked) }
      when "assigned" then assign(at, words)
      when "lost", "revoke" then words.each { |partition| end_tenure(@held[partition], at, CAUSES.fetch(kind)) }
      when "revoked" then words.each { |partition| @held.delete(partition)&.settled = at }
      when "stopped" then @held.each_value { |tenure| end_tenure(tenure, at, :revoked) }
      end
    end

    def assign(at, partitions)
      if @whole_assignments
        @held.each_value { |tenure| end_tenure(tenure, at, :revoked) }
        @held.clear
      end
      partitions.each do |partition|
        next if @held.key?(partition)

        @tenures << (@held[partition] = Tenure.new(member: member, partition: partition, from: at))
      end
    end

    def end_tenure(tenure, at, cause)
      return if tenure.nil? || tenure.to

      tenure.to = at
      tenure.cause = cause
    end
  end
end
