# frozen_string_literal: true

require_relative "lib/work_shaper/version"

Gem::Specification.new do |spec|
  spec.name = "work_shaper"
  spec.version = WorkShaper::VERSION
  spec.authors = ["The WorkShaper team"]
  spec.summary = "Works on the messages of one Kafka partition in parallel, in order per key, acknowledged in order."
  spec.description = "A native thread pool for consumers of ordered streams such as Kafka partitions: messages of a " \
                     "sub key run one after the other, in the order in which they came; different sub keys run side " \
                     "by side; and an offset is acknowledged only when every lower one is finished."
  spec.homepage = "https://rubygems.org/gems/work_shaper"
  spec.license = "MIT"
  spec.required_ruby_version = ">= 3.1"

  spec.files = Dir.chdir(__dir__) do
    Dir["exe/*", "lib/**/*.{rb,html,css,js,svg,txt,tt}", "ext/**/*.{c,h,rb}", "ext/work_shaper/depend", "sig/**/*.rbs",
        "docs/**/*.md", "examples/*.rb", "examples/deployment/*", ".yardopts",
        "{README,CHANGELOG,CONTRIBUTING,SECURITY}.md", "LICENSE.txt"]
  end
  spec.bindir = "exe"
  spec.executables = ["work_shaper"]
  spec.require_paths = ["lib"]
  spec.extensions = ["ext/work_shaper/extconf.rb"]
  spec.extra_rdoc_files = ["README.md", "CHANGELOG.md", "LICENSE.txt"].select { |name| spec.files.include?(name) }

  documentation = "https://rubydoc.info/gems/work_shaper/#{spec.version}"
  spec.metadata = {
    "documentation_uri" => documentation,
    "changelog_uri" => "#{documentation}/file/CHANGELOG.md",
    "rubygems_mfa_required" => "true"
  }
end
