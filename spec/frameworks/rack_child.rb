# frozen_string_literal: true

# WorkShaper::Web as Rack's own checker sees it, alone and mounted: by Rack, in the routes of Rails and beside Sinatra.
# Prints status and body of each answer.

require "logger" # which Rails 7.0 forgets
require "action_controller"
require "action_dispatch"
require "rack"
require "rack/lint"
require "rack/mock_request"
require "sinatra/base"
require "work_shaper"

WorkShaper.logger = Logger.new(File::NULL)
shaper = WorkShaper::Manager.new(work: ->(*) {}, ack: ->(*) {}, heartbeat_period_sec: 0)
shaper.enqueue(:key, :message, 0, 0)
shaper.drain

web = Rack::Lint.new(WorkShaper::Web.new)
alone = Rack::MockRequest.new(web)
mounted = Rack::MockRequest.new(Rack::Builder.app { map("/work_shaper") { run web } })
routes = ActionDispatch::Routing::RouteSet.new
routes.draw { scope("/admin") { mount web => "/work_shaper" } }
rails = Rack::MockRequest.new(routes)
login = Rack::Auth::Basic.new(web) { |name, password| [name, password] == %w[admin word] }
sinatra = Rack::MockRequest.new(Rack::URLMap.new("/" => Class.new(Sinatra::Base) { get("/") { "mine" } },
                                                 "/work_shaper" => login))
admin = { "HTTP_AUTHORIZATION" => "Basic #{["admin:word"].pack("m0")}" }

[alone.get("/live"), alone.get("/ready?x=1"), alone.get("/live?max_age=x"), alone.head("/live"), alone.post("/live"),
 alone.get("/stats.json"), mounted.get("/work_shaper/metrics"), mounted.get("/work_shaper/x")].each do |answer|
  $stdout.puts "#{answer.status} #{answer.body.lines.first.to_s[0, 60]}"
end

# The page finds its scripts wherever it is.
{ alone => "", mounted => "/work_shaper", rails => "/admin/work_shaper", sinatra => "/work_shaper" }
  .each do |server, path|
    ["", "/"].each do |slash|
      page = server.get("#{path}#{slash}", admin)
      script = page.body[/src="([^"]*page\.js)"/, 1]
      script = "/#{script}" unless script.start_with?("/")
      answer = server.get(script, admin)
      again = server.get(script, admin.merge("HTTP_IF_NONE_MATCH" => answer["etag"]))
      $stdout.puts "#{page.status} #{script} #{answer.status} #{answer.content_type} #{again.status}"
    end
  end
$stdout.puts sinatra.get("/work_shaper/stats.json").status, sinatra.get("/").body
shaper.shutdown
