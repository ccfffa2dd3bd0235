# frozen_string_literal: true

require_relative "../work_shaper"

begin
  require "active_support"
  require "active_support/log_subscriber"
rescue LoadError => e
  raise unless e.path == "active_support"

  raise LoadError, "work_shaper/log_subscriber needs the activesupport gem: bundle add activesupport"
end

module WorkShaper
  # Writes the events of WorkShaper to the log of Rails, as ActiveJob does with its own. It is attached when this file
  # is loaded. What waits for nobody (attempts, commits, pauses) is written at the level debug.
  #
  # It says what {WorkShaper.logger} says, too, in sentences: where both go to the same place, one of them is enough.
  #
  # @example config/application.rb: in Rails
  #   config.work_shaper.log_events = true
  # @example Elsewhere
  #   require "work_shaper/log_subscriber"
  class LogSubscriber < ActiveSupport::LogSubscriber
    # Which events are written at which level.
    LEVELS = {
      attempt: :debug, failure: :warn, retry: :info, give_up: :error, dead_letter: :warn, breaker: :warn, stuck: :warn,
      assigned: :info, revoked: :info, paused: :debug, resumed: :debug, committed: :debug, commit_refused: :warn,
      kafka_away: :warn, kafka_back: :info, started: :info, stopping: :info, stopped: :info
    }.freeze
    private_constant :LEVELS

    LEVELS.each do |name, level|
      # @!visibility private
      define_method(name) do |event|
        public_send(level) { "WorkShaper: #{__send__(:"#{name}_text", event.payload)}" }
      end
      # From Rails 7.1 on: a logger that does not want the level costs nothing. Before, each attempt is an event.
      subscribe_log_level(name, level) if respond_to?(:subscribe_log_level)
    end

    private

    def attempt_text(payload)
      took, waited = payload.values_at(:duration, :queue_time).map { |seconds| "#{(seconds * 1000).round(1)} ms" }
      again = ", attempt #{payload[:attempt]}" if payload[:attempt] > 1
      "#{place(payload)} #{payload[:outcome]} in #{took}, #{waited} after it came#{again}"
    end

    def failure_text(payload)
      "#{place(payload)} failed#{", attempt #{payload[:attempt]}" if payload[:attempt]}: #{described(payload)}"
    end

    def retry_text(payload)
      "#{place(payload)} is tried again in #{payload[:wait].round(1)} s"
    end

    def give_up_text(payload)
      action, attempt = payload.values_at(:action, :attempt)
      "#{place(payload)} is given up (#{action.inspect}) after attempt #{attempt}: #{described(payload)}"
    end

    def dead_letter_text(payload)
      "#{place(payload)} is a dead letter in #{payload[:dead_letter_topic]}"
    end

    def breaker_text(payload)
      return "the breaker is closed after #{payload[:open_for].round(1)} s" if payload[:state] == :closed

      "the breaker is open: #{payload[:failed]} of #{payload[:tries]} tries failed, last with #{described(payload)}"
    end

    def stuck_text(payload)
      "#{place(payload)} has run for #{payload[:age].round} s"
    end

    def assigned_text(payload)
      "#{names(payload)} assigned"
    end

    def revoked_text(payload)
      "#{names(payload)} revoked"
    end

    def paused_text(payload)
      "#{names(payload)} paused (#{payload[:reason]})"
    end

    def resumed_text(payload)
      "#{names(payload)} resumed"
    end

    def committed_text(payload)
      "#{place(payload)} committed"
    end

    def commit_refused_text(payload)
      "#{place(payload)} could not be committed: #{described(payload)}"
    end

    def kafka_away_text(payload)
      "Kafka is away: #{payload[:reason]}"
    end

    def kafka_back_text(payload)
      "Kafka is back after #{payload[:away].round} s"
    end

    def started_text(payload)
      "started#{" as #{payload[:group]} on #{payload[:topics].join(", ")}" if payload[:group]}"
    end

    def stopping_text(payload)
      "stopping#{": #{payload[:fatal]}" if payload[:fatal]}"
    end

    def stopped_text(payload)
      why = payload[:error] ? " by #{described(payload)}" : (" before all was done" unless payload[:done])
      "stopped#{why}"
    end

    def place(payload)
      return "input #{payload[:index]}" if payload.key?(:index)

      "#{payload[:topic] && "#{payload[:topic]}/"}#{payload[:partition]}:#{payload[:offset]}"
    end

    def names(payload)
      payload[:partitions].join(", ")
    end

    def described(payload)
      SafeLog.describe(payload[:error])
    end

    attach_to :work_shaper
  end
end
