# frozen_string_literal: true

require_relative "../tools/sanitized_specs"

namespace :sanitize do
  SanitizedSpecs::SETTINGS.each_key do |sanitizer|
    desc "Runs specs (SPECS=..., else #{SanitizedSpecs::DEFAULT}) with the extension under #{sanitizer} sanitizer"
    task(sanitizer) { SanitizedSpecs.new(sanitizer).run(ENV.fetch("SPECS", SanitizedSpecs::DEFAULT).split) }
  end
end

desc "Runs specs with the extension under each sanitizer"
task sanitize: %w[sanitize:address sanitize:thread]
