# frozen_string_literal: true

require "spec_helper"
require "tempfile"

RSpec.describe "docs/testing.md" do
  it "has examples that run, and say what comes of them" do
    Tempfile.create(["documentation", ".rb"]) do |file|
      file.write(Documentation.script(Documentation.examples - [Documentation.minitest]))
      file.close
      run = Program.ruby("-S", "rspec", "--options", File::NULL, file.path, env: { "LOG_LEVEL" => "fatal" })
      expect(run.wait).to eq(0), run.to_s
      expect(run.stdout).to include("2 examples, 0 failures")
      expect(run.stdout.scan(/^as it says$/).size).to eq(Documentation.examples.join.scan("#=>").size)
    end
  end
end
