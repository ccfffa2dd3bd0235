# frozen_string_literal: true

require "spec_helper"
require_relative "../frameworks/run"

# Its examples are in page_in_browser.rb, which a process with a bundle of its own runs, on one Chromium.
RSpec.describe "The page of WorkShaper::Web in a browser", watchdog: 300 do
  let(:chromium) do
    names = [ENV.fetch("BROWSER_PATH", nil), "chromium", "chromium-browser", "google-chrome"].compact
    names.find { |name| system(name, "--version", out: File::NULL, err: File::NULL) }
  end

  it "is as page_in_browser.rb says" do
    skip "there is no Chromium: apt-get install chromium" unless chromium
    examples = File.join(__dir__, "page_in_browser.rb")
    run = Frameworks::Run.new(Frameworks::Framework.new("browser").install, "rspec", "--no-color", examples,
                              env: { "BROWSER_PATH" => chromium }, limit: 200)
    expect(run.wait).to eq(0), -> { run.to_s }
    expect(run.stdout).to match(/^[1-9]\d* examples, 0 failures$/), -> { run.to_s }
  end
end
