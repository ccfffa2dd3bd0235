# frozen_string_literal: true

require "logger"
require "work_shaper"

Dir[File.join(__dir__, "support", "*.rb")].each { |file| require file }

# Objects that move find every reference which the extension forgot to update.
Compaction.start

RSpec.configure do |config|
  config.expect_with(:rspec) { |expectations| expectations.syntax = :expect }
  config.mock_with(:rspec) { |mocks| mocks.verify_partial_doubles = true }
  config.disable_monkey_patching!
  config.warnings = false
  config.order = :random
  Kernel.srand config.seed

  config.before { WorkShaper.logger = Logger.new(File::NULL) }

  # The threads of a stream stay for half a second, and other examples count threads.
  # Behind all that ends the threads of an example.
  config.append_after do |example|
    next unless example.file_path.match?(%r{/spec/(streams/|events/stream_|consumer/web_)})

    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 5
    while Thread.list.any? { |thread| thread.name.to_s.start_with?("work_shaper") } &&
          Process.clock_gettime(Process::CLOCK_MONOTONIC) < deadline
      sleep 0.005
    end
  end

  config.after(:suite) { Watchdog.watch_the_end(120) }

  # An example hangs for ever or is ended here, with all backtraces; `watchdog: 120` gives it more seconds.
  config.around do |example|
    Watchdog.watch(example.full_description, example.metadata.fetch(:watchdog, 60)) { example.run }
  end
end
