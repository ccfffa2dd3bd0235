# frozen_string_literal: true

require "spec_helper"
require "tmpdir"
require "work_shaper/consumer"

RSpec.describe "WorkShaper::Consumer and the rdkafka gem" do
  it "says what to add when the gem is missing" do
    Dir.mktmpdir do |empty|
      bundler = { "BUNDLE_GEMFILE" => nil, "BUNDLER_SETUP" => nil, "RUBYOPT" => nil }
      bare = { "GEM_HOME" => empty, "GEM_PATH" => empty, **bundler }
      expect_child_to_pass(<<~RUBY, env: bare)
        error = raised(LoadError) { require "work_shaper/consumer" }
        check(error.message.include?("rdkafka gem"), error.message)
        check(error.message.include?("bundle add rdkafka"), error.message)
        manager.shutdown # which does without
        passed
      RUBY
    end
  end

  it "says why it cannot be loaded, and what helps" do
    Dir.mktmpdir do |directory|
      reason = "Could not open library 'librdkafka.so': version `GLIBC_2.38' not found"
      File.write(File.join(directory, "rdkafka.rb"), "raise LoadError, #{reason.dump}")
      expect_child_to_pass(<<~RUBY)
        $LOAD_PATH.unshift(#{directory.dump})
        error = raised(LoadError) { require "work_shaper/consumer" }
        check(error.message.include?(#{reason.dump}), error.message)
        check(error.message.include?("--platform ruby"), error.message)
        check(!error.message.include?("bundle add"), error.message)
        passed
      RUBY
    end
  end

  it "is loaded when the Consumer is first named" do
    expect_child_to_pass(<<~RUBY)
      require "work_shaper"
      check(!defined?(Rdkafka), "loaded before")
      WorkShaper::Consumer
      check(defined?(Rdkafka), "not loaded")
      passed
    RUBY
  end

  it "is not loaded by work_shaper itself" do
    expect_child_to_pass('check(!defined?(Rdkafka) && !defined?(FFI), "not loaded"); passed')
  end

  # What is different, and a word that the error has.
  different = {
    "without the instance variable of its handle" => ["nil", <<~RUBY],
      Rdkafka::Consumer.prepend(Module.new { def instance_variable_get(name) = name == :@native_kafka ? nil : super })
    RUBY
    "with a handle that has no address" => ["address", <<~RUBY],
      handle = Struct.new(:inner) { def with_inner = yield(inner) }
      Rdkafka::Consumer.prepend(Module.new do
        define_method(:instance_variable_get) { |name| name == :@native_kafka ? handle.new(7) : super(name) }
      end)
    RUBY
    "on a librdkafka that lacks a function" => ["consume_batch_queue", <<~RUBY]
      FFI::DynamicLibrary.prepend(Module.new { def find_function(name) = name.end_with?("batch_queue") ? nil : super })
    RUBY
  }
  different.each do |name, (word, patch)|
    it "that is #{name} ends run with the versions, and leaves nothing open" do
      expect_consumer_to_pass(<<~RUBY)
        #{patch}
        open = []
        Rdkafka::Consumer.prepend(Module.new do
          define_method(:initialize) { |*given, **named| super(*given, **named).tap { open << self } }
          define_method(:close) { super().tap { open.delete(self) } }
        end)
        c = mock_consumer(servers: ConsumerChild::SERVERS) { }
        error = raised(WorkShaper::Error) { c.run }
        [Rdkafka::VERSION, Rdkafka::LIBRDKAFKA_VERSION, WorkShaper::VERSION, #{word.inspect}].each do |part|
          check(error.message.include?(part), "\#{part} in \#{error.message}")
        end
        same([], open, "open")
        no_threads_left
        passed
      RUBY
    end
  end

  it "that does not name its libraries is reported with the versions, too" do
    expect_consumer_to_pass(<<~RUBY)
      Rdkafka::Bindings.singleton_class.undef_method(:ffi_libraries)
      error = raised(WorkShaper::Error) { mock_consumer(servers: ConsumerChild::SERVERS) { }.run }
      [Rdkafka::VERSION, Rdkafka::LIBRDKAFKA_VERSION].each do |part|
        check(error.message.include?(part), "\#{part} in \#{error.message}")
      end
      no_threads_left
      passed
    RUBY
  end

  it "whose Config is different takes a Hash instead, and says so" do
    config = Rdkafka::Config.new(config_for(ConsumerHelpers::SERVERS, "specs"))
    config.remove_instance_variable(:@config_hash)
    expect { WorkShaper::Consumer.new(config: config, topics: "orders") { |message| message } }
      .to raise_error(WorkShaper::Error, /#{Rdkafka::VERSION}.*pass a Hash/)
  end
end
