# frozen_string_literal: true

require_relative "manager_helpers"

# What specs of events share: an instrumenter that keeps what it is given, until the example ends.
module EventHelpers
  # Keeps names and payloads, in order.
  class Recorder
    def initialize
      @events = []
    end

    def instrument(name, payload)
      @events << [name.delete_suffix(".work_shaper").to_sym, payload]
      yield
    end

    def names
      @events.map(&:first)
    end

    # The payloads of one kind of event.
    def of(event)
      @events.select { |name, _| name == event }.map(&:last)
    end
  end

  # To be called before the manager is made.
  def events
    once(:@events) { WorkShaper.instrumenter = Recorder.new }
  end

  # Waits until there are so many events of a kind, and returns their payloads.
  def events_of(event, count = 1)
    eventually(-> { "#{events.of(event).size} of #{count} #{event} events" }) { events.of(event).size >= count }
    events.of(event)
  end

  def forget_instrumenter
    WorkShaper.remove_instance_variable(:@instrumenter) if WorkShaper.instance_variable_defined?(:@instrumenter)
  end

  # The thread that hands events over is the process's, and stays for a moment; other examples look for threads.
  def await_end_of_events
    eventually("events are handed over without end") do
      Thread.list.none? { |thread| thread.name == "work_shaper events" }
    end
  end
end

RSpec.configure do |config|
  config.include EventHelpers
  config.after { forget_instrumenter }
  config.append_after { await_end_of_events } # when gates are open and managers at their end
end
