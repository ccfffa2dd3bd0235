# frozen_string_literal: true

require "spec_helper"

RSpec.describe "ext/work_shaper/depend" do
  it "names every header, and no other" do
    directory = File.expand_path("../../ext/work_shaper", __dir__)
    named = File.read(File.join(directory, "depend")).scan(%r{\$\(srcdir\)/(\S+)}).flatten

    expect(named).to match_array(Dir.glob("**/*.h", base: directory))
  end
end
