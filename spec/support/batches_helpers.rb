# frozen_string_literal: true

require "work_shaper/batches"

# What the specs of WorkShaper::Batches share, beside ManagerHelpers.
module BatchesHelpers
  # Shut down after the example, as a manager is.
  def batches(**settings, &work)
    log
    keep(WorkShaper::Batches.new(heartbeat_period_sec: nil, **settings, &work))
  end

  # Notes each message in calls, before and after the block.
  def noting(**settings, &work)
    batches(**settings) do |message|
      calls.note(:work, message: message)
      work&.call(message)
      calls.note(:worked, message: message)
    end
  end

  # A call of process on a thread that has come to rest in it.
  def waiting_in(shaper, messages, **options)
    blocked_thread { shaper.process(messages, **options) }
  end

  # Messages of several sub keys, in turn: [sub key, number].
  def messages(keys:, each:)
    (0...each).flat_map { |number| (0...keys).map { |key| [key, number] } }
  end
end

RSpec.configure { |config| config.include BatchesHelpers }
