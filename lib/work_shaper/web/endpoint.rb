# frozen_string_literal: true

require "ipaddr"

module WorkShaper
  class Web
    # Where a consumer serves {Web} from its own process, and what of it.
    #
    # @private
    class Endpoint
      LOOPBACK = "127.0.0.1"
      PAGE = "WORK_SHAPER_WEB_PAGE" # the variable
      OPTIONS = %i[address page keys max_age].freeze
      ACCEPTED = "a port (9394), an address (\"0.0.0.0:9394\", \"[::1]:9394\"), or a Hash of " \
                 "#{OPTIONS.join(", ")}".freeze
      ADDRESS = /\A(?:(?<host>\[[\h:.]+\]|[\w.-]+):)?(?<port>\d{1,5})\z/
      MOST = 65_535
      private_constant :LOOPBACK, :PAGE, :OPTIONS, :ACCEPTED, :ADDRESS, :MOST

      # @return [String] as a socket takes it
      attr_reader :host

      # @return [Integer] 0: any that is free
      attr_reader :port

      # @return [Web]
      attr_reader :app

      # @param value [Integer, String, Hash, nil] what the user wrote
      # @param source [String, Symbol] where, for the error
      # @return [Endpoint, nil] nil: none is asked for
      # @raise [TypeError, ArgumentError]
      def self.check(value, source)
        return if value.nil?
        return new(value, source) unless value.is_a?(Hash)

        Settings.refuse_unknown(value, OPTIONS, called: "options of #{source}")
        new(value.fetch(:address) { refuse(value, source) }, source, **value.except(:address))
      end

      def self.refuse(value, source)
        RetryPolicy::Numbers.refuse(value, source, ACCEPTED, Integer, String, Hash)
      end

      # @param address [Integer, String]
      # @param page [Boolean, String, nil] whether there are the page and the numbers behind it, beside the probes and
      #   the metrics; nil: as the environment says, or else on loopback only
      # @param web [Hash] for {Web#initialize}
      def initialize(address, source, page: nil, **web)
        parts = ADDRESS.match(address.to_s) if address.is_a?(String) || address.is_a?(Integer)
        self.class.refuse(address, source) unless parts && parts[:port].to_i <= MOST
        @host = (parts[:host] || LOOPBACK).delete("[]")
        @port = parts[:port].to_i
        @web = { **web, page: page_or_default(page) }
        @app = Web.new(**@web)
      end

      # Whether nobody else can reach it.
      def loopback?
        host == "localhost" || IPAddr.new(host).loopback?
      rescue IPAddr::Error
        false
      end

      # What is one of these, so that consumers of a process share a server.
      def ==(other)
        other.class == self.class && other.state == state
      end
      alias eql? ==

      def hash
        state.hash
      end

      def to_s
        "#{host.include?(":") ? "[#{host}]" : host}:#{port}"
      end

      protected

      def state
        [host, port, @web]
      end

      private

      def page_or_default(page)
        return Settings.switch(page, :page) unless page.nil?

        ENV.key?(PAGE) ? Settings.switch(ENV[PAGE], PAGE) : loopback?
      end
    end

    private_constant :Endpoint
  end
end
