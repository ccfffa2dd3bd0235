# frozen_string_literal: true

# The check builds, installs and uses the gem in processes of its own, each with a limit; see its head.
RSpec.describe "The gem that is built from this clone", watchdog: 240 do
  let(:check) { File.expand_path("../../tools/package_check.rb", __dir__) }

  it "installs into an empty directory and works there, with no other gem" do
    result = run_ruby("load #{check.dump}", limit: 200)

    expect(result.status).to be_success, result.to_s
    expect(result.stdout).to eq("package: work_shaper #{WorkShaper::VERSION} builds, installs and works\n")
  end
end
