# frozen_string_literal: true

# The compiled part. A precompiled gem holds one for each version of Ruby, in a directory of that name; otherwise it was
# compiled at installation, or in a clone. When neither can be loaded, the message says what to do, and why each failed.
begin
  require "work_shaper/#{RUBY_VERSION[/\A\d+\.\d+/]}/work_shaper"
rescue LoadError => e
  begin
    require "work_shaper/work_shaper"
  rescue LoadError => compiled
    raise LoadError, "work_shaper's extension cannot be loaded in Ruby #{RUBY_VERSION} (#{RUBY_PLATFORM}). " \
                     "For a gem: gem pristine work_shaper. For a clone, or path: in a Gemfile, run there: " \
                     "bundle install && bundle exec rake compile. (#{e.message}; #{compiled.message})"
  end
end
