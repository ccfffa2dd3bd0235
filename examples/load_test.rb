# frozen_string_literal: true

# A load test of a web server: requests start at a fixed rate, whether or not the earlier ones have been answered, as
# they do in life. So a server that stalls cannot hide it: the latency counts from when a request was to start.
#
#   gem install work_shaper
#   URL=http://localhost:9292/ RATE=200 DURATION=30 ruby examples/load_test.rb
#
#   RATE           requests that start in a second; 200 unless set
#   DURATION       seconds; 10 unless set
#   CONCURRENCY    requests at the same time at most; 50 unless set

require "net/http"
require "work_shaper"

url = URI(ENV.fetch("URL") { abort "URL is not set" })

report = WorkShaper::LoadTest.run(
  rate: Float(ENV.fetch("RATE", "200")),
  duration: Float(ENV.fetch("DURATION", "10")),
  concurrency: Integer(ENV.fetch("CONCURRENCY", "50"))
) do
  response = Net::HTTP.get_response(url)
  response.value # raises what the report counts as an error, unless it is a success
end

puts report
puts format("99.9%% within %.1f ms", report.latency(99.9) * 1_000)
exit report.errors.empty?
