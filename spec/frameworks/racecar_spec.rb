# frozen_string_literal: true

require "spec_helper"
require_relative "shared_examples"

RSpec.describe "examples/racecar.rb", :kafka, watchdog: 120 do
  it_behaves_like "an example", "racecar" do
    def command(file)
      ["racecar", "--require", file, "OrdersConsumer"]
    end

    def settings(_file)
      { "RACECAR_BROKERS" => group.servers, "RACECAR_GROUP_ID" => group.name, "TOPIC" => topic.name,
        "RACECAR_PAUSE_TIMEOUT" => "0.2",
        "RACECAR_CONSUMER" => "session.timeout.ms=#{session_ms},heartbeat.interval.ms=100" }
    end

    def adapt(text)
      text
    end

    # racecar repeats the whole batch.
    def expect_repeats(finished, failing)
      repeated = finished.group_by(&:id).values.select { |lines| lines.size > 1 }.map(&:first)
      expect(repeated.map { |line| "#{topic.name}/#{line.partition}" }.uniq).to eq([failing.partition])
    end
  end
end
