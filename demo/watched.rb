# frozen_string_literal: true

require "net/http"
require "socket"
require "work_shaper/consumer"

module Demo
  # A consumer at work whose page can be looked at: on a terminal until Ctrl-C, otherwise for as long as it takes to see
  # that it answers. Its work is slower and less even than the rest of the demo, so that there is something to see.
  class Watched
    WORKERS = 10
    WORK_SEC = (0.005..0.1)
    PATIENCE_SEC = 10

    # `answered`: whether the page said that all is well.
    Result = Struct.new(:address, :answered, keyword_init: true)

    def initialize(group)
      port = TCPServer.open("127.0.0.1", 0) { |server| server.local_address.ip_port }
      @address = "http://127.0.0.1:#{port}/"
      @stopped = Queue.new
      random = Random.new(42)
      @consumer = WorkShaper::Consumer.new(config: group.config, topics: group.topic, concurrency: WORKERS,
                                           web: port, signals: false) { sleep random.rand(WORK_SEC) }
    end

    # Yields the address once the page is there; returns when somebody stops it, or at once if nobody is to look.
    def run
      running = Thread.new { @consumer.run }
      running.report_on_exception = false
      answered = ready?
      yield @address if answered
      @stopped.pop if answered && $stdout.tty?
      @consumer.stop
      running.join
      Result.new(address: @address, answered: answered)
    end

    def stop
      @stopped << true
    end

    private

    def ready?
      deadline = Clock.now + PATIENCE_SEC
      until (ready = get("ready") && get(""))
        break if Clock.now > deadline || @stopped.size.positive?

        sleep 0.05
      end
      ready
    end

    def get(path)
      Net::HTTP.get_response(URI(@address + path)).is_a?(Net::HTTPOK)
    rescue SystemCallError
      false
    end
  end
end
