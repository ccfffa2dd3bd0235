# frozen_string_literal: true

require "spec_helper"

RSpec.describe "ext/work_shaper/depend" do
  it "names every header, and no other" do
    directory = File.expand_path("../../ext/work_shaper", __dir__)
    named = File.read(File.join(directory, "depend")).scan(%r{\$\(srcdir\)/(\S+)}).flatten

    expect(named).to match_array(Dir.glob("**/*.h", base: directory))
  end

  # `gem install` compiles with -I. in ext/work_shaper: there <ruby/thread.h> would be ours.
  it "names no header that Ruby has, too" do
    directory = File.expand_path("../../ext/work_shaper", __dir__)
    theirs = RbConfig::CONFIG.values_at("rubyhdrdir", "rubyarchhdrdir")
    both = Dir.glob("**/*.h", base: directory).select { |name| theirs.any? { |dir| File.exist?(File.join(dir, name)) } }

    expect(both).to be_empty
  end
end
