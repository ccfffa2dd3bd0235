# frozen_string_literal: true

require "spec_helper"
require "tempfile"
require_relative "run"

RSpec.describe "The test kit in Minitest", watchdog: 300 do
  it "has the assertions of docs/testing.md" do
    Tempfile.create(["documentation", ".rb"]) do |file|
      file.write(Documentation.script([Documentation.examples.first, Documentation.minitest, "exit Minitest.run([])"]))
      file.close
      run = Frameworks::Run.new(Frameworks::Framework.new("minitest").install, "ruby", file.path)
      expect(run.wait).to eq(0), -> { run.to_s }
      expect(run.stdout).to include("2 runs, 5 assertions, 0 failures")
    end
  end

  it "has assertions that pass and fail, and says the seed of each test that fails" do
    run = Frameworks::Run.child("minitest", "--seed", "4711")
    expect(run.wait).to eq(1), -> { run.to_s }
    expect(run.stdout).to match(/8 runs, \d+ assertions, 6 failures, 0 errors, 1 skips/)
    expect(run.stdout).to include("the order of a sub key is another", "expected to be acknowledged (the next offsets)",
                                  "not to have dead-lettered a message", "but it left: [", "a key of the work")
    expect(run.stdout.scan("(seed 4711: repeat it with WORK_SHAPER_SEED=4711)").size).to eq(4)
    said = run.stderr.scan(/^WORK_SHAPER_SEED=4711 # AssertionsTest#(\w+)$/).flatten
    expect(said).to match_array(%w[test_fails_in_order test_fails_to_acknowledge test_fails_by_a_dead_letter
                                   test_fails_to_repeat test_fails_in_the_work test_fails_elsewhere])
  end
end
