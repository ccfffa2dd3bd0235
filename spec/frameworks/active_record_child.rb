# frozen_string_literal: true

# A pool of 5 connections under 25 workers: ruby active_record_child.rb DATABASE MESSAGES. Prints what came of it.

require "active_record"
require "json"
require "logger"
require "work_shaper"

database, messages = ARGV
WorkShaper.logger = Logger.new(File::NULL)
ActiveRecord::Base.establish_connection(adapter: "sqlite3", database: database, pool: 5, checkout_timeout: 0.05,
                                        timeout: 5000)
ActiveRecord::Schema.verbose = false
ActiveRecord::Schema.define do
  create_table(:payments) do |table|
    table.string :source
    table.index :source, unique: true
  end
end

# One for each message.
class Payment < ActiveRecord::Base; end

errors = Queue.new
work = lambda do |message, *|
  Payment.connection_pool.with_connection do
    Payment.create!(source: message.to_s)
    sleep 0.01
  end
end
shaper = WorkShaper::Manager.new(work: work, ack: ->(*) {}, on_error: ->(error, *) { errors << error.class.name },
                                 attempts: :unlimited, wait: 0.02..0.5, concurrency: 25, max_in_flight: 500)
Integer(messages).times { |number| shaper.enqueue(number % 100, number, 0, number) }
drained = shaper.drain(timeout: 60)
result = { drained: drained, rows: Payment.count, errors: Array.new(errors.size) { errors.pop }.tally }
puts JSON.generate(result) # rubocop:disable RSpec/Output -- the spec reads it
shaper.shutdown(timeout: 10)
