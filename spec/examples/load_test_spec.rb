# frozen_string_literal: true

require "spec_helper"
require "socket"

RSpec.describe "examples/load_test.rb" do
  # Answers each connection with that status, until the server is closed.
  def serve(server, status)
    served = Queue.new
    Thread.new do
      while (client = server.accept)
        client.gets("\r\n\r\n")
        client.write("HTTP/1.1 #{status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        client.close
        served << true
      end
    rescue IOError
      # It was closed.
    end
    served
  end

  def load(server)
    env = { "URL" => "http://127.0.0.1:#{server.addr[1]}/", "RATE" => "100", "DURATION" => "1" }
    Program.ruby(File.join(Program::ROOT, "examples", "load_test.rb"), env: env)
  end

  { "200 OK" => [0, ""], "503 Busy" => [1, "Net::HTTPFatalError"] }.each do |status, (exit_status, error)|
    it "reports on a server that says #{status}" do
      server = TCPServer.new("127.0.0.1", 0)
      served = serve(server, status)
      program = load(server)

      expect(program.wait).to eq(exit_status), -> { program.to_s }
      expect(program.stderr).to eq("")
      expect(program.stdout).to include(error).and match(/^99\.9% within \d+\.\d ms$/)
      expect(served.size).to be_between(90, 110)
    ensure
      server&.close
      program&.close
    end
  end
end
