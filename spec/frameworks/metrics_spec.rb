# frozen_string_literal: true

require "spec_helper"
require "json"
require_relative "run"

# A consumer works on three messages, of which the second fails.
RSpec.describe "Recipes for metrics", watchdog: 300 do
  it "give prometheus-client, yabeda and StatsD the numbers of a consumer" do
    run = Frameworks::Run.child("metrics")
    expect(run.wait).to eq(0), -> { run.to_s }
    told = JSON.parse(run.stdout.lines.last)

    type, text = told["prometheus"]
    expect(type).to eq(WorkShaper::Metrics::CONTENT_TYPE)
    expect(text.lines(chomp: true)).to include(
      "own 1.0", "work_shaper_failures_total{group=\"specs\",class=\"IOError\"} 1",
      "work_shaper_attempts_total{group=\"specs\",topic=\"orders\"} 3"
    )

    yabeda = told["yabeda"].group_by(&:first).transform_values { |rows| rows.map { |row| row.drop(1) } }
    expect(yabeda["work_duration"].map { |tags, _| tags["outcome"] }.tally).to eq("done" => 2, "failed" => 1)
    expect(yabeda["work_duration"]).to all(match([include("topic" => "orders"), be_between(0, 10)]))
    expect(yabeda["failures"]).to eq([[{ "topic" => "orders", "error" => "IOError" }, 1]])
    expect(yabeda["lag"]).to eq([[{ "topic" => "orders", "partition" => "0" }, 0]])

    statsd = told["statsd"].group_by(&:first).transform_values { |rows| rows.map { |row| row.drop(1) } }
    expect(statsd["work_shaper.failures"]).to eq([[%w[error:IOError topic:orders], 1]])
    expect(statsd["work_shaper.lag"]).to include([%w[partition:0 topic:orders], 0])
    outcomes = %w[done failed].map { |outcome| ["outcome:#{outcome}", "topic:orders"] }
    %w[work_shaper.work_duration_ms work_shaper.queue_duration_ms].each do |name|
      expect(statsd[name].map(&:first).uniq).to match_array(outcomes)
    end
  end
end
