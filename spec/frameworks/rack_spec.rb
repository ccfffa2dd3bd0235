# frozen_string_literal: true

require "spec_helper"
require_relative "run"

RSpec.describe "WorkShaper::Web under Rack", watchdog: 300 do
  it "keeps to Rack's specification, alone and mounted" do
    run = Frameworks::Run.child("rack")
    expect(run.wait).to eq(0), -> { run.to_s }
    answers = run.stdout.lines(chomp: true)
    expect(answers.first(5)).to eq(["200 ok", "200 ok", "400 max_age must be a number of seconds > 0", "200 ",
                                    "405 only GET and HEAD"])
    expect(answers[5]).to start_with("200 {\"version\":")
    expect(answers[6]).to start_with("200 # HELP work_shaper_enqueued_total ")
    expect(answers[7]).to start_with("404 ")
  end
end
