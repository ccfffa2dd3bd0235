# frozen_string_literal: true

require "spec_helper"
require "json"
require_relative "run"

RSpec.describe "semantic_logger as WorkShaper.logger", watchdog: 300 do
  it "gets exceptions with their backtraces, and all fields; a long message is cut" do
    run = Frameworks::Run.child("semantic_logger")
    expect(run.wait).to eq(0), -> { run.to_s }
    lines = run.stdout.lines.map { |line| JSON.parse(line) }
    short, long = lines.select { |line| line["message"] == "Error processing" }
    expect(short["payload"]).to include("offset" => "0:7", "error" => "IOError: disk")
    expect(short["exception"]).to include("name" => "IOError", "message" => "disk")
    expect(short["exception"]["stack_trace"].first).to include("semantic_logger_child.rb")
    expect(long["payload"]["error"]).to end_with("... (799000 more characters)")
    expect(long.to_s.length).to be < 10_000
    expect(lines.find { |line| line["message"] == "Shutting Down" }).to include("level" => "info")
  end
end
