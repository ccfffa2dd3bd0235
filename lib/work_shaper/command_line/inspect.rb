# frozen_string_literal: true

require "json"
require "net/http"
require_relative "page"

module WorkShaper
  module CommandLine
    # Shows what a process does that serves WorkShaper::Web.
    #
    # @private
    class Inspect < Command
      USAGE = "inspect URL [options]"
      ABOUT = <<~TEXT
        Shows the page of WorkShaper::Web at URL as text: whether all is well, and if not, what is wrong and since when;
        of each group and partition the lag, and which message blocks it; what the workers do. In a terminal it looks
        again each second, until q or Ctrl-C; elsewhere it prints once.
      TEXT
      EXAMPLES = <<~TEXT
        work_shaper inspect http://localhost:9292
        work_shaper inspect https://admin:secret@shop.example/work_shaper
        work_shaper inspect http://localhost:9292 --once | less
      TEXT
      FILE = "/stats.json"
      PERIOD = 1 # seconds
      LIMIT = 5 # seconds for an answer
      LARGEST = 64 * 1024 * 1024 # bytes of one
      UNREACHABLE = [SystemCallError, SocketError, IOError, Net::ProtocolError, Net::HTTPBadResponse,
                     Net::HTTPHeaderSyntaxError, Net::OpenTimeout, Net::ReadTimeout, OpenSSL::SSL::SSLError,
                     Zlib::Error].freeze

      # Of a terminal: from the top left corner; the rest of the line, of the screen; another screen and back.
      HOME = "\e[H"
      END_OF_LINE = "\e[K"
      END_OF_SCREEN = "\e[J"
      ENTER = "\e[?1049h\e[?25l"
      LEAVE = "\e[?1049l\e[?25h"

      def call
        lines = page
        @output.tty? && !@once ? live(lines) : @output.puts(lines)
        OK
      end

      private

      def options(parser)
        parser.on("--once", "Prints once, in a terminal, too") { @once = true }
      end

      def take(url)
        @uri = URI.parse(url)
        unless @uri.is_a?(URI::HTTP) && @uri.host
          raise OptionParser::InvalidArgument, "#{url}: it must begin with http:// or https://"
        end

        @uri.path = @uri.path.chomp("/").delete_suffix(FILE) + FILE
      rescue URI::InvalidURIError
        raise OptionParser::InvalidArgument, "#{url}: it is no URL, such as http://localhost:9292"
      end

      # @return [Array<String>]
      def page
        Page.new(parsed(body)).lines
      rescue TypeError, NoMethodError # something in it is of another kind
        raise Error, "#{shown} is not what WorkShaper::Web serves"
      end

      def body
        options = { use_ssl: @uri.is_a?(URI::HTTPS), open_timeout: LIMIT, read_timeout: LIMIT, max_retries: 0 }
        ::Timeout.timeout(2 * LIMIT, Net::ReadTimeout) do
          Net::HTTP.start(@uri.hostname, @uri.port, **options) { |http| received(http) }
        end
      rescue *UNREACHABLE => e
        raise Error, "#{shown}: #{e.message} (#{e.class})"
      end

      def received(http)
        request = Net::HTTP::Get.new(@uri)
        user, password = [@uri.user, @uri.password].map { |text| URI.decode_www_form_component(text.to_s) }
        request.basic_auth(user, password) if @uri.user
        text = +""
        http.request(request) do |response|
          raise Error, "#{shown} answered #{response.code} #{response.message}" unless response.is_a?(Net::HTTPOK)

          response.read_body { |part| raise Error, "#{shown}: that is too much" if (text << part).bytesize > LARGEST }
        end
        text
      end

      def parsed(text)
        stats = JSON.parse(text)
        raise JSON::ParserError unless stats.is_a?(Hash) && stats["consumers"].is_a?(Array)

        stats
      rescue JSON::ParserError
        raise Error, "#{shown} is not what WorkShaper::Web serves"
      end

      # Without the password.
      def shown
        URI::Generic.build(scheme: @uri.scheme, host: @uri.host, port: @uri.port, path: @uri.path).to_s
      end

      # A process that does not answer may be one that starts anew.
      def live(lines)
        with_screen do |keys|
          draw(lines)
          until quit?(keys)
            begin
              draw(lines = page)
            rescue Error => e
              draw([e.message, "", *lines])
            end
          end
        end
      rescue Interrupt
        nil
      end

      # What does not fit is cut off: the screen must not scroll.
      def draw(lines)
        height, width = size
        rows = [*lines, "", "q ends"]
        rows = [*rows.first(height - 1), "..."] if rows.size > height
        @output.print HOME, rows.map { |row| row[0, width] }.join("#{END_OF_LINE}\r\n"), END_OF_LINE, END_OF_SCREEN
        @output.flush
      end

      def size
        require "io/console"
        height, width = @output.winsize
        height.positive? && width.positive? ? [height, width] : [24, 80]
      rescue NoMethodError, SystemCallError
        [24, 80]
      end

      # Yields where keys come from, one by one; nil: nobody is there to press one.
      def with_screen(&block)
        @output.print ENTER
        return yield(nil) unless @input.tty?

        require "io/console"
        @input.raw(intr: true, &block)
      ensure
        @output.print LEAVE
        @output.flush
      end

      # Waits for a second. Returns whether it is to end meanwhile.
      def quit?(keys)
        return sleep(PERIOD).nil? unless keys

        keys.wait_readable(PERIOD) && [nil, "q", "Q", "\u0003"].include?(keys.getc)
      end
    end
  end
end
