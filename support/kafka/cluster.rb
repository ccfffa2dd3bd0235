# frozen_string_literal: true

require "fileutils"
require "open3"
require "socket"
require_relative "child_process"

module KafkaSupport
  # Brokers from ../shared/kafka, on data in memory where there is room, else below tmp/kafka: beside other work a disk
  # may take seconds for a write, for which the broker stands still, and members lose their sessions. A guard process
  # starts them and removes them when the pipe to this process is closed, in whatever way this process ends; what is
  # left when the guard was killed as well, the next suite removes.
  class Cluster
    SCRIPT = File.expand_path("../shared/kafka/kafka", ChildProcess::ROOT)
    MEMORY = "/dev/shm"
    # What the brokers of a whole suite write, several times over.
    ROOM_KIB = 4 << 20
    PATIENCE_SEC = 120
    # Beside those that the script would take by itself. A cluster of three brokers has six.
    PORTS = (20_092..31_900).step(10)
    OLDEST_JAVA = 17
    # A broken pipe must not keep it from the removal.
    GUARD = <<~SHELL
      trap '' PIPE
      script=$0 directory=$1
      "$script" start "$@" && echo started
      cat >/dev/null
      "$script" remove "$directory"
      rm -rf "$directory" "$directory.lock" "$directory.log"
    SHELL

    class Failure < StandardError; end

    class << self
      def there?
        File.executable?(SCRIPT)
      end

      def version
        jar = Dir.children(File.join(File.dirname(SCRIPT), "libs")).grep(/\Akafka-clients-/).first
        jar[/-([\d.]+)\.jar\z/, 1]
      end

      def java?
        java = File.join(*[ENV.fetch("JAVA_HOME", nil)].compact.map { |home| File.join(home, "bin") }, "java")
        output, status = Open3.capture2e(java, "-version")
        status.success? && output[/version "(\d+)/, 1].to_i >= OLDEST_JAVA
      rescue SystemCallError
        false
      end

      def home
        @home ||= room? ? "#{MEMORY}/work_shaper-#{Process.uid}" : File.join(ChildProcess::ROOT, "tmp", "kafka")
      end

      # A lock that can be had belongs to nobody any more.
      def remove_left_over
        Dir.glob(File.join(home, "*.lock")).each do |name|
          File.open(name) do |lock|
            remove(name.delete_suffix(".lock")) if lock.flock(File::LOCK_EX | File::LOCK_NB)
          end
        end
      end

      def remove(directory)
        system(SCRIPT, "remove", directory, out: File::NULL, err: File::NULL) if File.directory?(directory)
        FileUtils.rm_rf([directory, "#{directory}.log", "#{directory}.lock"])
      end

      private

      # Whether a file system in memory is there, as on Linux, and large enough.
      def room?
        return false unless File.writable?(MEMORY)

        output, status = Open3.capture2("df", "-Pk", MEMORY)
        status.success? && output.lines.last.split[3].to_i > ROOM_KIB
      end
    end

    attr_reader :servers

    # `settings`: of the brokers, beside those that the script makes. A block may make more of the first broker's port;
    # the next one is its controller's, and up to nine behind that are free if there is only one broker.
    def initialize(brokers: 1, settings: {})
      home = self.class.home
      FileUtils.mkdir_p(home)
      @directory = File.join(home, "#{Process.pid}-#{object_id}")
      @lock = File.open("#{@directory}.lock", "w")
      @lock.flock(File::LOCK_EX)
      port = take_ports(home)
      settings = { **settings, **yield(port) } if block_given?
      options = ["--brokers", brokers.to_s, "--port", port.to_s]
      start_guard(*options, *settings.flat_map { |name, value| ["--set", "#{name}=#{value}"] })
      await_start
      @servers = said[/^127\.0\.0\.1:.*$/]
    rescue StandardError
      close
      raise
    end

    # Kills a broker as a crash would, and returns when it is gone: `up` starts only what is not running.
    def kill(id)
      command("kill", id.to_s)
      deadline = ChildProcess.now + (PATIENCE_SEC * 1_000_000_000)
      until command("status").match?(/^#{id} down /)
        raise Failure, "broker #{id} does not end" if ChildProcess.now > deadline

        sleep 0.02
      end
    end

    def up
      command("up")
    end

    # The files in which brokers say what they do.
    def logs
      Dir.glob(File.join(@directory, "broker-*.log"))
    end

    # What one of Kafka's own tools says; each call takes a second and a half.
    def tool(name, *arguments)
      command("tool", name, "--bootstrap-server", servers, *arguments)
    end

    # The file of a partition's messages (there is one more for each gigabyte).
    def segment(topic, partition)
      Dir.glob(File.join(@directory, "data-*", "#{topic}-#{partition}", "*.log")).min
    end

    def close
      @pipe&.close
      @guard&.join
      self.class.remove(@directory)
      @lock.close
      @ports&.close
    end

    private

    # Ports that no other suite of this machine takes while the lock is held: those of a broker that starts, or is down
    # for a while, look free. Returns the first of them.
    def take_ports(home)
      free = PORTS.find do |port|
        @ports = File.open(File.join(home, "#{port}.ports"), "w")
        (@ports.flock(File::LOCK_EX | File::LOCK_NB) && free?(port)) || @ports.close
      end
      free || raise(Failure, "no free ports between #{PORTS.first} and #{PORTS.last}")
    end

    def free?(port)
      Array.new(PORTS.step) { |index| TCPServer.new("127.0.0.1", port + index).close }
      true
    rescue SystemCallError
      false
    end

    def start_guard(*arguments)
      input, @pipe = IO.pipe
      pid = Process.spawn("/bin/sh", "-c", GUARD, SCRIPT, @directory, *arguments,
                          in: input, out: "#{@directory}.log", err: %i[child out], pgroup: true)
      @guard = Process.detach(pid)
      input.close
    end

    def await_start
      deadline = ChildProcess.now + (PATIENCE_SEC * 1_000_000_000)
      until said.end_with?("started\n")
        failed = said.include?("kafka: ") || !@guard.alive? || ChildProcess.now > deadline
        raise Failure, "Kafka did not start:\n#{said}#{broker_logs}" if failed

        sleep 0.02
      end
    end

    def said
      File.read("#{@directory}.log")
    end

    def broker_logs
      logs.map { |log| "#{log}:\n#{File.readlines(log).last(30).join}" }.join
    end

    def command(name, *arguments)
      output, status = Open3.capture2e(SCRIPT, name, @directory, *arguments)
      raise Failure, "kafka #{[name, *arguments].join(" ")}: #{output}" unless status.success?

      output
    end
  end
end
