# frozen_string_literal: true

# A small Rails application with a database: ruby rails_child.rb DIRECTORY development|production. Prints as JSON what
# each case returned.

require "json"
require "rails"
require "active_record/railtie"
require "rails/generators"
require_relative "../support/child"
require_relative "../support/consumer/child"

WorkShaper.logger = nil # child.rb has set it
DIRECTORY, MODE = ARGV
LOG = StringIO.new
FileUtils.mkdir_p(%w[app/consumers config].map { |name| File.join(DIRECTORY, name) })
File.write(File.join(DIRECTORY, "config", "database.yml"), JSON.generate(
                                                             MODE => { adapter: "sqlite3", database: "db.sqlite3",
                                                                       pool: 5, checkout_timeout: 5, timeout: 5000 }
                                                           ))
Rails.env = MODE

# The application.
class Shop < Rails::Application
  config.root = DIRECTORY
  config.eager_load = false
  config.cache_classes = MODE == "production"
  config.logger = ActiveSupport::TaggedLogging.new(Logger.new(LOG))
  config.log_level = :debug
  config.secret_key_base = "secret"
  config.active_support.deprecation = :silence
  config.work_shaper.log_events = true
end

require_relative "rails_development" if MODE == "development"

Dir.chdir(DIRECTORY)
before = MODE == "development" ? Development.generated : {}
Shop.initialize!
ActiveRecord::Schema.verbose = false
Shop.executor.wrap { ActiveRecord::Schema.define { create_table(:orders) { |table| table.string :source } } }

# One for each message.
class Order < ActiveRecord::Base
  # The old way, which leaves the thread its connection.
  def self.save_with_the_threads_own(source)
    connection.execute("INSERT INTO orders (source) VALUES ('#{source}')")
    sleep 0.005
  end
end

# Hears what is reported.
class Subscriber
  attr_reader :reports

  def initialize
    @reports = Queue.new
  end

  def report(error, handled:, severity:, context:, source: "work_shaper")
    @reports << [context[:offset], error.class.name, context.slice(:topic, :partition, :attempt, :group, :customer),
                 [handled, severity, source], context.keys]
  end

  def all
    Array.new(@reports.size) { @reports.pop }.sort_by { |row| row.first(2).map(&:to_s) }
  end
end

# What a case does: each method is one.
module Cases
  MAIN = TOPLEVEL_BINDING.receiver
  FAILURES = %w[io script timeout sub_key on_error give_up].freeze

  class << self
    # More workers than connections, and an `around` of one's own.
    def leak
      outside = 0
      around = lambda do |_message, &work|
        outside += 1 unless Shop.executor.active?
        work.call
      end
      consume("orders", 80, around: around, concurrency: 25, attempts: 1, give_up: :skip) do |message|
        Order.save_with_the_threads_own(message.payload)
      end
      rows = Shop.executor.wrap { Order.pluck(:source) }
      { rows: rows.sort_by(&:to_i) == (0...80).map(&:to_s), outside: outside, kept: kept, log: warnings }
    end

    # Two attempts of each; the letter of one cannot be written at first.
    def failures
      Rails.error.subscribe(subscriber = Subscriber.new)
      inside = Queue.new
      callbacks = { on_error: on_error(inside), give_up: give_up(inside), sub_key: method(:sub_key) }
      stats = consume("payments", FAILURES, **callbacks, attempts: 2, wait: 0.01, timeout: 2, &method(:fail_as_told))
      reports = subscriber.all
      { reports: reports.map { |row| row[0..3] }, keys: reports.flat_map(&:last).uniq.sort,
        inside: Array.new(inside.size) { inside.pop }.tally, skipped: stats[:total_skipped], kept: kept }
    end

    # Connections that threads keep although they have nothing to do; and what they log.
    def managers
      work = lambda do |message, *|
        Rails.logger.info("at work")
        Order.save_with_the_threads_own(message)
        raise IOError, "disk" if message == 7
      end
      manager = WorkShaper::Manager.new(work: work, ack: ->(*) {}, heartbeat_period_sec: 0)
      20.times { |number| manager.enqueue(number, number, 3, number) }
      MAIN.check(manager.drain(timeout: 10), "drained")
      Rails.error.subscribe(subscriber = Subscriber.new)
      batches = WorkShaper::Batches.new(concurrency: 5) { |number| Order.save_with_the_threads_own(Integer(number)) }
      batches.process((0...20).to_a, sub_key: nil)
      MAIN.raised(ArgumentError) { batches.process(%w[1 x], sub_key: nil) }
      { kept: kept, error: tagged("Error processing"), reports: subscriber.all.map { |row| row.first(3) } }
    ensure
      [manager, batches].compact.each(&:shutdown)
    end

    # A hook of the application's own fails before the work, and before on_error, which is called all the same.
    def hooks
      Rails.error.subscribe(subscriber = Subscriber.new)
      failing = true
      Shop.executor.to_run { raise "hook" if failing }
      told = Queue.new
      manager = WorkShaper::Manager.new(work: ->(*) { told << "worked" }, ack: ->(*) {}, heartbeat_period_sec: 0,
                                        on_error: ->(error, *) { told << error.message }, concurrency: 5)
      manager.enqueue(1, 1, 3, 9)
      MAIN.check(manager.drain(timeout: 10), "drained")
      { told: Array.new(told.size) { told.pop }, reports: subscriber.all.map { |row| row.first(3) } }
    ensure
      failing = false
      manager&.shutdown
    end

    def railtie
      { logger: WorkShaper.logger.equal?(Rails.logger), events: LOG.string[/WorkShaper: payments.0:0 failed, .*/] }
    end

    # What the log says of the first payment, and of the consumer.
    def log
      { work: tagged("working on io"), skipped: tagged("Skipped"), refused: tagged("Could not give up"),
        consumer: tagged("Starting"), small_pools: LOG.string.scan("fewer database").size }
    end

    def consume(topic, payloads, **options, &work)
      payloads = (0...payloads).map(&:to_s) if payloads.is_a?(Integer)
      MAIN.mock.create_topic(topic, partitions: 1)
      MAIN.mock.produce(topic, payloads.map { |payload| [0, "secret-#{payload}", payload] })
      consumer = WorkShaper::Consumer.new(config: config(topic), topics: topic, signals: false, **options, &work)
      running = Thread.new { consumer.run }
      MAIN.wait_until("#{topic} at rest", 60) do
        raise running.value.to_s unless running.alive?

        consumer.stats.dig(:partitions, "#{topic}/0", :lag)&.zero?
      end
      consumer.stats
    ensure
      consumer&.stop
      MAIN.ended(running, 30)
    end

    def config(topic)
      { "bootstrap.servers": MAIN.mock.bootstrap_servers, "group.id": "shop-#{topic}", "session.timeout.ms": 10_000,
        "heartbeat.interval.ms": 100 }
    end

    private

    def warnings
      LOG.string.lines.grep(/fewer database/).map { |line| line[/concurrency.*/] }
    end

    def tagged(text)
      LOG.string.lines.grep(/#{text}/).map { |line| line[/\[.*\] (?=#{text}|\{)/].to_s.strip }.uniq.sort
    end

    # Threads of ours that have a connection; each case has its own.
    def kept
      threads = MAIN.manager_threads
      Order.connection_pool.connections.count { |connection| threads.include?(connection.owner) }
    end

    def sub_key(message)
      raise ArgumentError, "no sub key" if message.payload == "sub_key"

      message.key
    end

    def fail_as_told(message)
      Rails.logger.info("working on #{message.payload}")
      Rails.error.set_context(customer: 7) if message.payload == "io"
      Order.connection.execute("SELECT 1")
      raise NotImplementedError, "script" if message.payload == "script"

      sleep 30 if message.payload == "timeout"
      raise IOError, message.payload
    end

    def on_error(inside)
      lambda do |_error, message, *|
        Order.connection.execute("SELECT 1")
        inside << "on_error #{Shop.executor.active?}"
        raise KeyError, "told" if message.payload == "on_error"
      end
    end

    def give_up(inside)
      refused = 0
      lambda do |failure|
        Order.connection.execute("SELECT 1")
        inside << "give_up #{Shop.executor.active?}"
        raise IndexError, "no letter" if failure.message.payload == "give_up" && (refused += 1) == 1

        :skip
      end
    end
  end
end

results = %i[leak failures managers hooks railtie log].to_h { |name| [name, Cases.public_send(name)] }
results.update(before, Development.run) if MODE == "development"
$stdout.puts JSON.generate(results)
