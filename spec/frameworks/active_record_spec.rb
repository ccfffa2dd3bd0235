# frozen_string_literal: true

require "spec_helper"
require "json"
require "tmpdir"
require_relative "run"

# A real database: its pool is too small for so many workers, so most tries fail. Without retries, more than half of
# the messages were lost.
RSpec.describe "ActiveRecord with a pool of 5 connections under 25 workers", watchdog: 300 do
  it "loses no message, and does none twice" do
    Dir.mktmpdir do |directory|
      run = Frameworks::Run.child("active_record", File.join(directory, "payments.sqlite3"), "500", limit: 120)
      expect(run.wait).to eq(0), -> { run.to_s }
      result = JSON.parse(run.stdout)
      expect(result).to include("drained" => true, "rows" => 500)
      expect(result["errors"]["ActiveRecord::ConnectionTimeoutError"]).to be > 10
    end
  end

  it "has its transactions, and what it tells of records, in a test with the kit" do
    framework = Frameworks::Framework.new("active_record").install
    run = Frameworks::Run.new(framework, "ruby", File.join(__dir__, "active_record_testing.rb"), "--options", File::NULL)
    expect(run.wait).to eq(0), -> { run.to_s }
    expect(run.stdout).to include("2 examples, 0 failures")
  end
end
