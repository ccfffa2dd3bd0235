# frozen_string_literal: true

require_relative "metrics/exposition"

module WorkShaper
  # The numbers of all consumers and managers that are at work in this process, for Prometheus.
  #
  # @example In a Rack application
  #   [200, { "content-type" => WorkShaper::Metrics::CONTENT_TYPE }, [WorkShaper::Metrics.text]]
  module Metrics
    # Of {.text}.
    CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
    # Of {.text} as OpenMetrics.
    OPENMETRICS_CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    # Names without "_total"; what they have as labels is said in docs/operation.md.
    FAMILIES = {
      work_shaper_enqueued: [:counter, "Messages that were taken, or enqueued."],
      work_shaper_attempts: [:counter, "How often work ended, well or not."],
      work_shaper_failures: [:counter, "Attempts that failed, by the class of the error."],
      work_shaper_retries: [:counter, "Failed attempts that another one follows."],
      work_shaper_skipped: [:counter, "Messages that were given up and left out."],
      work_shaper_dead_letters: [:counter, "Dead letters that a broker has confirmed."],
      work_shaper_commits: [:counter, "Commits that brokers have answered."],
      work_shaper_events_dropped: [:counter, "Events that subscribers did not take in time."],
      work_shaper_waiting: [:gauge, "Messages that wait for a worker, or for their next attempt."],
      work_shaper_running: [:gauge, "Messages that are worked on."],
      work_shaper_retrying: [:gauge, "Messages that wait for their next attempt."],
      work_shaper_stuck: [:gauge, "Attempts that have run for stuck_after."],
      work_shaper_workers: [:gauge, "Worker threads."],
      work_shaper_bytes: [:gauge, "What the messages that wait or run weigh."],
      work_shaper_breaker_open: [:gauge, "Whether the breaker is open."],
      work_shaper_kafka_reachable: [:gauge, "Whether a broker answers."],
      work_shaper_lag: [:gauge, "Messages of the partition that are left to work on."],
      work_shaper_position_offset: [:gauge, "The next offset to be taken."],
      work_shaper_committed_offset: [:gauge, "The next offset to read, as the broker has confirmed."],
      work_shaper_end_offset: [:gauge, "Where the partition ends."],
      work_shaper_oldest_age_seconds: [:gauge, "How long ago the oldest unfinished message came in."],
      work_shaper_repeated_if_killed: [:gauge, "Messages that would be given again after a kill."],
      work_shaper_paused: [:gauge, "Whether the partition is paused."],
      work_shaper_queue_duration_seconds: [:histogram, "From when a message came in until its first attempt."],
      work_shaper_work_duration_seconds: [:histogram, "What an attempt took."]
    }.freeze

    # What is in each stats, by family.
    TOTALS = {
      work_shaper_enqueued: :total_enqueued, work_shaper_retries: :total_retried, work_shaper_skipped: :total_skipped,
      work_shaper_dead_letters: :total_dead_lettered, work_shaper_waiting: :waiting, work_shaper_running: :running,
      work_shaper_retrying: :retrying, work_shaper_workers: :workers, work_shaper_bytes: :bytes
    }.freeze
    ROWS = {
      work_shaper_lag: :lag, work_shaper_position_offset: :position, work_shaper_committed_offset: :committed,
      work_shaper_end_offset: :end, work_shaper_oldest_age_seconds: :oldest_age_sec,
      work_shaper_repeated_if_killed: :repeated_if_killed
    }.freeze
    private_constant :FAMILIES, :TOTALS, :ROWS

    class << self
      # Asks nobody, like {Consumer#stats}. What has the same labels is added up: consumers of one group, and all
      # managers.
      #
      # @param openmetrics [Boolean] whether it is to be OpenMetrics 1.0; otherwise it is Prometheus' text format
      # @return [String]
      # @example
      #   puts WorkShaper::Metrics.text
      def text(openmetrics: false)
        exposition = Exposition.new(FAMILIES, openmetrics)
        exposition.add(:work_shaper_events_dropped, Events.dropped)
        Census.consumers.each { |consumer| add_consumer(exposition, consumer.stats, group: consumer.group) }
        Census.managers.each { |manager| add_totals(exposition, manager.stats) }
        exposition.to_s
      end

      private

      def add_consumer(exposition, stats, **group)
        return if stats.empty?

        add_totals(exposition, stats, **group)
        exposition.add(:work_shaper_kafka_reachable, stats[:kafka][:reachable], **group)
        %i[confirmed refused].each do |result|
          exposition.add(:work_shaper_commits, stats[:commits][result], **group, result: result)
        end
        stats[:partitions].each { |name, row| add_partition(exposition, name, row, stats[:paused], **group) }
      end

      def add_totals(exposition, stats, **labels)
        TOTALS.each { |family, key| exposition.add(family, stats[key], **labels) }
        stats[:failures].each { |kind, count| exposition.add(:work_shaper_failures, count, **labels, class: kind) }
        exposition.add(:work_shaper_stuck, stats[:stuck].size, **labels)
        exposition.add(:work_shaper_breaker_open, stats[:breaker] && stats[:breaker][:state] == :open, **labels)
        by_topic(stats[:durations]).each { |topic, durations| add_durations(exposition, durations, **labels, **topic) }
      end

      # A manager's belong to no topic.
      def by_topic(durations)
        durations.key?(:work) ? { {} => durations } : durations.transform_keys { |topic| { topic: topic } }
      end

      def add_durations(exposition, durations, **labels)
        exposition.add(:work_shaper_attempts, durations[:work].count, **labels)
        durations.each do |what, histogram|
          exposition.merge(:"work_shaper_#{what}_duration_seconds", histogram, **labels)
        end
      end

      def add_partition(exposition, name, row, paused, **labels)
        topic, _, number = name.rpartition("/")
        labels = { **labels, topic: topic, partition: number }
        ROWS.each { |family, key| exposition.add(family, row[key], **labels) }
        exposition.add(:work_shaper_paused, paused.include?(name), **labels)
      end
    end
  end
end
