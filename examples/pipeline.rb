# frozen_string_literal: true

# A pipeline of three stages, each with workers of its own: lines of JSON are parsed, completed with what some service
# knows, and written as JSON, in the order in which they came. A stage that is full holds those before it back, so the
# input may be endless.
#
#   gem install work_shaper
#   ruby examples/pipeline.rb orders.jsonl > priced.jsonl

require "json"
require "work_shaper"

# Your work goes here. It runs on many threads at once.
def price_of(article)
  sleep 0.005 # a query, an HTTP call
  article.sum * 0.01
end

# A line that is no JSON is told and left out.
skip = { give_up: :skip, on_error: ->(error, line) { warn "#{line.inspect}: #{error.class}" } }

WorkShaper.stream(ARGF.each_line(chomp: true), concurrency: 2, **skip) { |line| JSON.parse(line) }
          .stage(concurrency: 20) { |order| order.merge("price" => price_of(order.fetch("article"))) }
          .stage(concurrency: 2) { |order| JSON.generate(order) }
          .each { |line| puts line }
