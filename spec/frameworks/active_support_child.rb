# frozen_string_literal: true

# Events on ActiveSupport::Notifications, and the LogSubscriber. Prints what is heard, line by line.

require "active_support"
require "logger"
require "work_shaper"

WorkShaper.logger = Logger.new(File::NULL)
$stdout.puts "before: #{WorkShaper.instrumenter.inspect}"
require "active_support/notifications"
$stdout.puts "loaded: #{WorkShaper.instrumenter.inspect}"

def work(*numbers)
  shaper = WorkShaper::Manager.new(work: ->(number, *) { raise IOError, "disk" if number.negative? }, ack: ->(*) {})
  numbers.each { |number| shaper.enqueue(:key, number, 0, number.abs) }
  shaper.drain(timeout: 10) # a stop is told of at once, also before what was enqueued
  shaper.shutdown(timeout: 10)
end

work(1) # nobody listens
heard = Queue.new
listening = ActiveSupport::Notifications.subscribe("attempt.work_shaper") do |name, _, _, _, payload|
  heard << "#{name} #{payload[:message]} #{payload[:outcome]}"
end
ActiveSupport::Notifications.subscribe("failure.work_shaper") { raise "a bad subscriber" }
work(2, -3)
2.times { $stdout.puts heard.pop } # told by a thread of its own
ActiveSupport::Notifications.unsubscribe(listening)
work(4)
$stdout.puts "unheard: #{heard.size}"

require "work_shaper/log_subscriber"
%w[debug warn].each do |level|
  ActiveSupport::LogSubscriber.logger = Logger.new($stdout, level: level, formatter: lambda { |*, text|
    "#{level}: #{text}\n"
  })
  work(5, -6)
end
