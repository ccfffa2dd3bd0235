# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "in WorkShaper::Metrics" do
  def value(sample)
    WorkShaper::Metrics.text[/^#{Regexp.escape(sample)} (\S+)$/, 1]
  end

  it "has its numbers by group, topic and partition while it runs" do
    client.produce("orders", 0, "a", "b", "bad")
    consumer = skipping(["orders", 0], ["bills", 3]) { |message| raise IOError if message.key == "bad" }
    of = 'group="specs",topic="orders"'
    eventually { value("work_shaper_attempts_total{#{of}}") == "3" }
    eventually { value('work_shaper_skipped_total{group="specs"}') == "1" } # once that attempt is settled
    eventually { value("work_shaper_end_offset{#{of},partition=\"0\"}") == "3" }
    expect(value("work_shaper_failures_total{group=\"specs\",class=\"IOError\"}")).to eq("1")
    expect(value("work_shaper_kafka_reachable{group=\"specs\"}")).to eq("1")
    expect(value("work_shaper_work_duration_seconds_count{#{of}}")).to eq("3")
    eventually { value('work_shaper_lag{group="specs",topic="bills",partition="3"}') == "0" }
    stop(consumer)
    expect(WorkShaper::Metrics.text).not_to include("specs")
  end
end
