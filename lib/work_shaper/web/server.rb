# frozen_string_literal: true

begin
  require "webrick"
rescue LoadError
  raise LoadError, "to serve its probes and its page, a consumer needs the webrick gem: bundle add webrick"
end

module WorkShaper
  class Web
    # Serves {Web} while consumers run, on threads of its own: `Consumer.new(web: 9394)`.
    #
    # @private
    class Server
      CLOSING_TIME = 2 # seconds until those who ask have their answers
      REQUEST_TIME = 10 # seconds until a request is there
      MOST_CLIENTS = 50
      LOOPBACK_NAMES = %w[localhost 127.0.0.1 [::1]].freeze
      private_constant :CLOSING_TIME, :REQUEST_TIME, :MOST_CLIENTS, :LOOPBACK_NAMES

      # WEBrick, as far as it has a Rack application to serve, and tells nobody what others have sent to it.
      class Listener < WEBrick::HTTPServer
        # @param app [#call]
        # @param names [Array<String>, nil] by which it may be called; nil: any
        def initialize(app, names, **config)
          @app = app
          @names = names
          super(AccessLog: [], Logger: Logger.new(nil), DoNotReverseLookup: true, ServerSoftware: "WorkShaper",
                RequestTimeout: REQUEST_TIME, MaxClients: MOST_CLIENTS, **config)
        end

        # Called by WEBrick, for each request.
        def service(request, response)
          request.script_name = ""
          request.path_info = request.path
          fill(response, *answer(request))
        rescue StandardError => e
          SafeLog.trouble("Error in the web server", e)
          fill(response, 500, { "content-type" => "text/plain" }, ["an error, which is in the log\n"])
        end

        private

        # A page of somebody else's could have its own name lead here, and read what a browser on this machine may.
        def answer(request)
          return [403, { "content-type" => "text/plain" }, ["not by that name\n"]] unless named?(request["host"])

          @app.call(request.meta_vars)
        end

        def named?(host)
          @names.nil? || host.nil? || @names.include?(host.sub(/:\d+\z/, "").downcase)
        end

        def fill(response, status, headers, body)
          response.status = status
          headers.each { |name, value| response[name] = value }
          response.body = body.join
        end
      end

      private_constant :Listener

      # By endpoint.
      SHARED = Shared.new { |endpoint| new(endpoint) }

      # @param endpoint [Endpoint]
      # @raise [Error] it cannot be opened
      def initialize(endpoint)
        @listener = Listener.new(endpoint.app, (LOOPBACK_NAMES | [endpoint.host] if endpoint.loopback?),
                                 BindAddress: endpoint.host, Port: endpoint.port)
        SafeLog.info(message: "Web", address: "http://#{endpoint.to_s.sub(/\d+\z/, @listener.config[:Port].to_s)}/")
        @thread = OwnThread.start("work_shaper web") { @listener.start }
      rescue SystemCallError, SocketError => e
        raise Error, "web: #{endpoint} cannot be opened: #{e.message}"
      end

      def close
        @listener.shutdown
        @thread.kill unless @thread.join(CLOSING_TIME)
      end
    end

    private_constant :Server
  end
end
