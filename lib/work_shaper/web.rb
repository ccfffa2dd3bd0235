# frozen_string_literal: true

require "json"
require_relative "../work_shaper"
require_relative "metrics"
require_relative "web/concerns"
require_relative "web/endpoint"
require_relative "web/overview"
require_relative "web/page"
require_relative "web/probe"

module WorkShaper
  # A Rack application that tells how the consumers, managers and streams of its process are: a page for people, and
  # what the probes of Kubernetes, Prometheus and whoever wants the numbers as JSON ask for. It changes nothing, and
  # needs no gem.
  #
  # * `/`: the page
  # * `/live`: 200, or 503 and the reasons: see {Consumer#healthy?}. `/live?max_age=60` for another limit
  # * `/ready`: the same for whether messages can come: see {Consumer#unready}
  # * `/metrics`: {Metrics.text}, as OpenMetrics for who accepts that
  # * `/stats.json`: the numbers of all of them, without sub keys and texts of errors unless `keys` is true
  #
  # @example config/routes.rb, behind a login of your own
  #   authenticate(:admin) { mount WorkShaper::Web.new => "/work_shaper" }
  # @example config.ru
  #   run WorkShaper::Web.new(max_age: 300)
  class Web
    TEXT = "text/plain; charset=utf-8"
    PLAIN = { "content-type" => TEXT, "cache-control" => "no-store" }.freeze
    PATHS = "/, /live, /ready, /metrics and /stats.json"
    private_constant :TEXT, :PLAIN, :PATHS

    # @param max_age [Numeric] seconds that one try may run, or a trouble may last, before `/live` says no
    # @param keys [Boolean] whether the page and `/stats.json` show what may be somebody's data: sub keys, which are
    #   often customers' ids, and the texts of errors. (Payloads are never shown.)
    # @param page [Boolean] whether there is more than `/live`, `/ready` and `/metrics`
    # @raise [TypeError, ArgumentError] max_age is no number above 0
    def initialize(max_age: 600, keys: false, page: true)
      unless max_age.is_a?(Numeric) && max_age.real? && max_age.positive?
        RetryPolicy::Numbers.refuse(max_age, "max_age", "a number of seconds > 0", Numeric)
      end

      @max_age = max_age
      @keys = keys
      @page = page
    end

    # Checks where a consumer is to serve its own: see {Consumer#initialize}.
    #
    # @private
    def self.endpoint(value, source)
      endpoint = Endpoint.check(value, source)
      require_relative "web/server" if endpoint
      endpoint
    end

    # Serves it while the block runs.
    #
    # @private
    def self.serve(endpoint, &block)
      endpoint ? Server::SHARED.hold(endpoint, &block) : yield
    end

    # @param env [Hash] of Rack
    # @return [Array(Integer, Hash, Array<String>)] status, headers and body
    # @example
    #   status, headers, body = web.call("PATH_INFO" => "/live", "REQUEST_METHOD" => "GET", "QUERY_STRING" => "")
    def call(env)
      case env["REQUEST_METHOD"]
      when "GET" then route(env)
      when "HEAD" then [*route(env).first(2), []]
      else answer(405, "only GET and HEAD", "allow" => "GET, HEAD")
      end
    end

    private

    def route(env)
      case env["PATH_INFO"]
      when "/live" then live(env["QUERY_STRING"].to_s)
      when "/ready" then probe(Probe.unready)
      when "/metrics" then metrics(env["HTTP_ACCEPT"].to_s)
      else @page ? page(env) : answer(404, "there are /live, /ready and /metrics")
      end
    end

    def page(env)
      case path = env["PATH_INFO"].to_s
      when "", "/" then Page.start(env["SCRIPT_NAME"].to_s)
      when "/stats.json" then stats
      else Page.file(path, env["HTTP_IF_NONE_MATCH"]) || answer(404, "there are #{PATHS}")
      end
    end

    def live(query)
      asked = query[/(?:\A|&)max_age=([^&]*)/, 1]
      max_age = asked ? Float(asked, exception: false) : @max_age
      return answer(400, "max_age must be a number of seconds > 0") unless max_age&.positive?

      probe(Probe.dead(max_age))
    end

    def probe(reasons)
      reasons.empty? ? answer(200, "ok") : answer(503, reasons.join("\n"))
    end

    def metrics(accepted)
      openmetrics = accepted.include?("application/openmetrics-text")
      type = openmetrics ? Metrics::OPENMETRICS_CONTENT_TYPE : Metrics::CONTENT_TYPE
      [200, { **PLAIN, "content-type" => type }, [Metrics.text(openmetrics: openmetrics)]]
    end

    def stats
      overview = Overview.to_h(keys: @keys, max_age: @max_age)
      [200, { **PLAIN, **Page::HEADERS, "content-type" => "application/json" }, [JSON.generate(overview)]]
    end

    def answer(status, text, **headers)
      [status, { **PLAIN, **headers }, ["#{text}\n"]]
    end
  end
end
