# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "under systemd" do
  # `heard` gives what systemd was told, datagram by datagram; `told` waits for a line, `more_looks` for what is told to
  # be looked at anew.
  def script(body, path: "Dir.mktmpdir + \"/notify\"")
    <<~RUBY
      require "socket"
      require "tmpdir"
      path = #{path}
      socket = Socket.new(:UNIX, :DGRAM)
      socket.bind(Socket.pack_sockaddr_un(path.sub(/\\A@/, "\\0")))
      heard = []
      ENV["NOTIFY_SOCKET"] = path
      listen = lambda do
        loop { heard.concat(socket.recv_nonblock(4096).split("\\n")) }
      rescue IO::WaitReadable
        nil
      end
      told = lambda do |line, times = 1|
        wait_until(line) { listen.call || heard.count(line) >= times }
      end
      looks = 0
      WorkShaper::Web.const_get(:Probe).singleton_class.prepend(Module.new do
        define_method(:dead) { |max_age| super(max_age).tap { looks += 1 } }
      end)
      more_looks = lambda do
        seen = looks
        wait_until("more looks") { looks > seen + 3 }
      end
      #{body}
      passed
    RUBY
  end

  it "tells when it is ready, why it is not, that it is alive for as long as it is, and that it stops" do
    expect_consumer_to_pass(script(<<~RUBY, path: "\"@work_shaper-\#{Process.pid}\""))
      set_constant(WorkShaper.const_get(:Systemd), :MAX_AGE, 0.2)
      ENV["WATCHDOG_USEC"] = "300000" # a look each 0.1 s: a socket holds only ten datagrams that nobody has read
      ENV["WATCHDOG_PID"] = Process.pid.to_s
      gate = Queue.new
      c = fake_consumer { gate.pop }
      thread = Thread.new do
        told.call("STATUS=specs: the group has given it no assignment yet")
        told.call("EXTEND_TIMEOUT_USEC=30000000", 3)
        same([], heard & %w[READY=1 STOPPING=1], "told too early")
        client.assign(["orders", 0])
        told.call("READY=1")
        told.call("STATUS=ok")
        extended = heard.count("EXTEND_TIMEOUT_USEC=30000000")
        client.produce("orders", 0, "a")
        told.call("STATUS=specs: stuck at orders/0:0")
        alive = heard.count("WATCHDOG=1")
        more_looks.call
        listen.call
        same(alive, heard.count("WATCHDOG=1"), "the watchdog's while it is stuck")
        gate.close
        told.call("STATUS=ok", 2)
        told.call("WATCHDOG=1", alive + 2)
        same([extended, 1], [heard.count("EXTEND_TIMEOUT_USEC=30000000"), heard.count("READY=1")], "once ready")
        c.stop
      end
      same(true, c.run, "run")
      thread.value
      listen.call
      same("STOPPING=1", heard.last, "the last word")
      no_threads_left
    RUBY
  end

  it "tells once more what systemd could not take, since it had not read what came before" do
    expect_consumer_to_pass(script(<<~RUBY))
      set_constant(WorkShaper.const_get(:Systemd), :PERIOD, 0.02)
      Socket.open(:UNIX, :DGRAM) do |other|
        other.connect(Socket.pack_sockaddr_un(path))
        loop { other.write_nonblock("full") }
      rescue IO::WaitWritable, Errno::ENOBUFS
        nil
      end
      c = fake_consumer { |m| worked << m.offset }
      thread = Thread.new do
        client.assign(["orders", 0])
        wait_until("ready") { c.unready.nil? }
        more_looks.call
        told.call("READY=1")
        told.call("STATUS=ok")
        c.stop
      end
      same(true, c.run, "run")
      thread.value
      same(1, heard.count("READY=1"), "once ready")
      no_threads_left
      passed
    RUBY
  end

  it "says nothing where the application has the signals, and runs where systemd does not listen" do
    expect_consumer_to_pass(script(<<~RUBY))
      run = lambda do |**options|
        c = fake_consumer(**options) { |m| worked << m.offset }
        assign_later(["orders", 0])
        client.produce("orders", 0, "a")
        Thread.new { wait_until("work") { worked.any? } && c.stop }
        same(true, c.run, "run")
        worked.clear
      end
      run.call(signals: false)
      listen.call
      same([], heard, "told by one of several")
      socket.close
      @client = nil
      run.call
      File.delete(path)
      @client = nil
      run.call
      no_threads_left
    RUBY
  end
end
