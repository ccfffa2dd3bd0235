# frozen_string_literal: true

require "spec_helper"
require "io/wait"

RSpec.describe WorkShaper, "its log on standard output" do
  # A child whose standard output is a pipe, without the helpers of the other scripts. Yields the reader and the pid.
  def piped(script)
    reader, writer = IO.pipe
    pid = Process.spawn(Subprocess::ENVIRONMENT, RbConfig.ruby, "-I", Subprocess::LIBRARY, "-r", "work_shaper",
                        "-e", script, out: writer, pgroup: true)
    writer.close
    waiter = Process.detach(pid)
    yield reader, pid, waiter
  ensure
    kill(pid) if waiter.alive?
    reader.close
  end

  def kill(pid)
    Process.kill(:KILL, -pid)
  rescue Errno::ESRCH
    nil # it has ended just now
  end

  { "with" => "", "without" => "Object.send(:remove_const, :Logger)\n" }.each do |how, before|
    it "is written at once: a kill -9 takes no line along (#{how} the logger gem)" do
      piped("#{before}WorkShaper.logger.warn({ message: 'the last words' }); sleep") do |reader, pid, waiter|
        expect(reader.wait_readable(10)).not_to be_nil, "no line within 10 s"
        Process.kill(:KILL, pid)
        expect(waiter.value.termsig).to eq(9)
        expect(reader.read).to include("the last words").and end_with("\n")
      end
    end
  end

  it "keeps its place among what is printed" do
    piped(<<~RUBY) { |reader, _, _| expect(reader.read).to match(/\Aone\n.*two.*\nthree\n\z/) }
      print "one\\n"
      WorkShaper.logger.info("two")
      print "three\\n"
      exit!(0) unless $stdout.flush
    RUBY
  end

  it "leaves what else is printed as it is: in the buffer, until it is full" do
    script = "WorkShaper.logger.info('one'); print 'two'; Process.kill(:KILL, Process.pid)"
    piped(script) { |reader, _, _| expect(reader.read).to match(/\A.*one.*\n\z/) }
  end

  it "does not keep the process from ending when nobody reads the pipe" do
    piped(<<~RUBY) do |reader, _, waiter|
      Thread.new { loop { WorkShaper.logger.info("x" * 5_000) } }
      sleep 0.01 while IO.select(nil, [STDOUT], nil, 0) # until it is full
      exit(3)
    RUBY
      expect(waiter.join(15)).not_to be_nil, "the process did not end"
      expect(waiter.value.exitstatus).to eq(3)
      expect(reader.read.size).to be > 5_000
    end
  end

  describe "when a test has put something in its place" do
    around do |example|
      before = described_class.logger
      with_env("LOG_LEVEL" => "INFO") { example.run }
    ensure
      described_class.logger = before
    end

    before { described_class.logger = nil }

    it "goes there, and back again" do
      %w[one two].each do |text|
        expect { described_class.logger.info(text) }.to output(/\A{.*#{text}.*}\n\z/).to_stdout
      end
    end
  end

  it "is content with an object that can only write" do
    piped(<<~RUBY) { |reader, _, _| expect(reader.read).to match(/\Aseen {.*a line.*}\n\z/) }
      real = $stdout
      $stdout = Object.new.tap { |out| out.define_singleton_method(:write) { |text| real.write("seen ", text) } }
      WorkShaper.logger.info("a line")
    RUBY
  end

  it "follows STDOUT when that is reopened" do
    piped(<<~RUBY) { |reader, _, _| expect(reader.read).to match(/\A.*before.*\n\z/) }
      require "tempfile"
      WorkShaper.logger.info("before")
      file = Tempfile.new("log")
      STDOUT.reopen(file.path, "w")
      WorkShaper.logger.info("after")
      $stderr.puts "not there" unless File.read(file.path).include?("after")
    RUBY
  end

  it "is not closed with the logger" do
    piped("WorkShaper.logger.close; puts 'still open'") { |reader, _, _| expect(reader.read).to eq("still open\n") }
  end
end
