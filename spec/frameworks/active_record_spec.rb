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
end
