# frozen_string_literal: true

require "socket"
require "stringio"
require "tmpdir"
require_relative "program"

# What the specs of the command share: it is called in this process, or run as a program of its own.
module CommandHelpers
  EXECUTABLE = File.join(Program::ROOT, "exe", "work_shaper")
  RAW = { "RUBYOPT" => nil, "BUNDLER_SETUP" => nil, "RUBYLIB" => nil, "BOOTSTRAP_SERVERS" => nil }.freeze

  # What a call in this process said.
  Called = Struct.new(:status, :stdout, :stderr)

  # Standard input with somebody in front of it.
  class Terminal < StringIO
    def tty?
      true
    end
  end

  # A process that serves WorkShaper::Web, as far as HTTP goes.
  class Site
    attr_accessor :answer
    attr_reader :requests

    def initialize(answer)
      @answer = answer
      @requests = []
      @server = TCPServer.new("127.0.0.1", 0)
      @thread = Thread.new { serve(@server.accept) while true } # rubocop:disable Style/InfiniteLoop
      @thread.report_on_exception = false
    end

    def url
      "http://127.0.0.1:#{@server.addr[1]}"
    end

    def close
      @thread.kill
      @server.close
    end

    private

    def serve(socket)
      lines = Enumerator.produce { socket.gets.to_s.chomp }.take_while { |line| !line.empty? }
      @requests << lines
      answer = @answer
      return if answer == :silence

      return socket.write("\x16\x03garbage\n\n") if answer == :garbage

      status, body = answer.is_a?(Array) ? answer : ["200 OK", answer]
      socket.write("HTTP/1.1 #{status}\r\ncontent-length: #{body.bytesize}\r\nconnection: close\r\n\r\n#{body}")
    ensure
      socket.close unless answer == :silence
    end
  end

  # librdkafka takes a second to close a client: what follows in the example goes on beside.
  module ClosedBeside
    FLAG = :closed_beside

    class << self
      # Those that are closed by this thread, meanwhile.
      def during
        require "work_shaper/consumer"
        client = WorkShaper::Consumer.const_get(:Client)
        client.prepend(self) unless client.include?(self)
        Thread.current[FLAG] = true
        yield
      ensure
        Thread.current[FLAG] = nil
      end

      def await
        @threads&.each(&:join)
        @threads = []
      end

      def close(&block)
        (@threads ||= []) << Thread.new(&block)
      end
    end

    def close
      Thread.current[FLAG] ? ClosedBeside.close { super } : super
    end
  end

  # Calls it in this process. input: an IO; nobody sits at a terminal unless it is a Terminal.
  def work_shaper(*arguments, input: StringIO.new, servers: nil)
    output, errors = Array.new(2) { StringIO.new }
    with_variable("BOOTSTRAP_SERVERS", servers) do
      status = ClosedBeside.during do
        WorkShaper.const_get(:CommandLine).start(arguments, input: input, output: output, errors: errors)
      end
      Called.new(status, output.string, errors.string)
    end
  end

  # Runs it as a program, without Bundler, closed after the example.
  def program(*arguments, env: {}, **options)
    require_relative "../../support/kafka/child_process"
    (@programs ||= []) << Program.new(RbConfig.ruby, *KafkaSupport::ChildProcess.load_path, EXECUTABLE, *arguments,
                                      env: RAW.merge(env), **options)
    @programs.last
  end

  def in_directory
    @directory ||= Dir.mktmpdir("work_shaper-command") # rubocop:disable Naming/MemoizedInstanceVariableName
  end

  # Writes a file of the example's, and returns its path.
  def file(name, text)
    File.join(in_directory, name).tap do |path|
      FileUtils.mkdir_p(File.dirname(path))
      File.write(path, text)
    end
  end

  def clean_up_commands
    ClosedBeside.await
    @programs&.each(&:close)
    FileUtils.rm_rf(@directory) if @directory
  end

  # A private constant of the command.
  def self.inner(name)
    require "work_shaper/consumer"
    require "work_shaper/consumer/admin"
    require "work_shaper/command_line"
    command_line = WorkShaper.const_get(:CommandLine)
    %w[letter partitioner ledger share tally outbox course].each do |part|
      command_line.const_get(:Replay)
      require "work_shaper/command_line/replay/#{part}"
    end
    command_line.const_get(:Replay).const_get(name)
  end

  private

  def with_variable(name, value)
    before = ENV.fetch(name, nil)
    ENV[name] = value
    yield
  ensure
    ENV[name] = before
  end
end

RSpec.configure do |config|
  in_commands = { file_path: %r{spec/command_line/} }
  config.before(:each, in_commands) { require "work_shaper/command_line" }
  config.include CommandHelpers, in_commands
  config.after(:each, in_commands) { clean_up_commands }
end
