# frozen_string_literal: true

# WorkShaper::Web as Rack's own checker sees it, alone and mounted. Prints status and body of each answer.

require "rack"
require "rack/lint"
require "rack/mock_request"
require "work_shaper"

WorkShaper.logger = Logger.new(File::NULL)
shaper = WorkShaper::Manager.new(work: ->(*) {}, ack: ->(*) {}, heartbeat_period_sec: 0)
shaper.enqueue(:key, :message, 0, 0)
shaper.drain

web = Rack::Lint.new(WorkShaper::Web.new)
alone = Rack::MockRequest.new(web)
mounted = Rack::MockRequest.new(Rack::Builder.app { map("/work_shaper") { run web } })
[alone.get("/live"), alone.get("/ready?x=1"), alone.get("/live?max_age=x"), alone.head("/live"), alone.post("/live"),
 alone.get("/stats.json"), mounted.get("/work_shaper/metrics"), mounted.get("/work_shaper")].each do |answer|
  $stdout.puts "#{answer.status} #{answer.body.lines.first.to_s[0, 60]}"
end
shaper.shutdown
