# frozen_string_literal: true

require "spec_helper"
require_relative "run"

RSpec.describe "WorkShaper::Web under Rack", watchdog: 300 do
  it "keeps to Rack's specification, alone and mounted, in Rails and beside Sinatra behind a login" do
    run = Frameworks::Run.child("rack")
    expect(run.wait).to eq(0), -> { run.to_s }
    answers = run.stdout.lines(chomp: true)
    expect(answers.first(5)).to eq(["200 ok", "200 ok", "400 max_age must be a number of seconds > 0", "200 ",
                                    "405 only GET and HEAD"])
    expect(answers[5]).to start_with("200 {\"version\":")
    expect(answers[6]).to start_with("200 # HELP work_shaper_enqueued_total ")
    expect(answers[7]).to start_with("404 ")
    scripts = ["/page.js", "/work_shaper/page.js", "/admin/work_shaper/page.js", "/work_shaper/page.js"]
    expect(answers[8..15]).to eq(scripts.flat_map { |path| ["200 #{path} 200 text/javascript; charset=utf-8 304"] * 2 })
    expect(answers[16..]).to eq(%w[401 mine])
  end
end
