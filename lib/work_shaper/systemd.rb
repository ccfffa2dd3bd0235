# frozen_string_literal: true

require "socket"

module WorkShaper
  # Tells systemd how the consumers of this process are, if it wants to know (`Type=notify`): when they are ready, that
  # they are alive (`WatchdogSec=`), and why they are not. Until they are ready, which may be after other members of
  # the group, the time that systemd gives a start is extended, as long as they are alive.
  #
  # @see https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
  # @private
  class Systemd
    PERIOD = 1.0 # seconds between two looks
    EXTENSION = 30_000_000 # microseconds that a start may take longer than now
    MAX_AGE = 600 # seconds, as for {Consumer#healthy?}
    CLOSING_TIME = 1 # second

    @shared = Shared.new { |path| new(path) }

    # Tells it while the block runs.
    def self.told(environment = ENV, &block)
      path = environment["NOTIFY_SOCKET"].to_s
      path.empty? ? yield : @shared.hold(path, &block)
    end

    # @param path [String] of its socket; one that begins with @ is abstract
    # @param environment [#[]] with its WATCHDOG_USEC and WATCHDOG_PID
    def initialize(path, environment = ENV)
      @address = Socket.pack_sockaddr_un(path.sub(/\A@/, "\0"))
      @watchdog = watchdog_of(environment)
      @period = [PERIOD, *(@watchdog && (@watchdog / 3.0))].min
      @lock = Mutex.new
      @closing = ConditionVariable.new
      @thread = OwnThread.start("work_shaper systemd") { watch }
    end

    # Nothing more runs.
    def close
      @lock.synchronize do
        @closed = true
        @closing.signal
      end
      @thread.kill unless @thread.join(CLOSING_TIME)
      tell("STOPPING=1")
    end

    private

    # Seconds; nil: it does not watch this process.
    def watchdog_of(environment)
      microseconds = Integer(environment["WATCHDOG_USEC"] || "", 10, exception: false)
      pid = environment["WATCHDOG_PID"].to_s
      microseconds / 1_000_000.0 if microseconds&.positive? && (pid.empty? || pid == Process.pid.to_s)
    end

    def watch
      @lock.synchronize do
        until @closed
          look
          @closing.wait(@lock, @period)
        end
      end
    end

    def look
      probe = Web.const_get(:Probe)
      unready = probe.unready
      dead = probe.dead(MAX_AGE)
      status = status_of(dead | unready)
      told = tell(*started(unready, dead), *("WATCHDOG=1" if @watchdog && dead.empty?),
                  *("STATUS=#{status}" unless status == @status))
      return unless told # what is new is told at the next look

      @ready ||= unready.empty?
      @status = status
    end

    # Until it is ready.
    def started(unready, dead)
      return if @ready
      return "READY=1" if unready.empty?

      "EXTEND_TIMEOUT_USEC=#{EXTENSION}" if dead.empty?
    end

    def status_of(reasons)
      reasons.empty? ? "ok" : reasons.join("; ").gsub(/\s+/, " ")
    end

    # One who does not listen, or has not read what came before, is no reason to stop. Returns whether it was taken.
    def tell(*lines)
      return true if lines.empty?

      Socket.open(:UNIX, :DGRAM) do |socket|
        socket.connect(@address)
        socket.write_nonblock(lines.join("\n"))
      end
      true
    rescue SystemCallError
      false
    end
  end

  private_constant :Systemd
end
