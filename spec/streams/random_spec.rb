# frozen_string_literal: true

require "spec_helper"

# Random streams against a naive model: spec/support/random_stream.rb. A seed that failed runs again with SEED.
RSpec.describe WorkShaper::Stream do
  per_child = 100

  it "gives what the model says, whatever happens meanwhile" do
    first = Integer(ENV.fetch("SEED", rand(1_000_000)))
    count = ENV.key?("SEED") ? 1 : per_child
    expect_child_to_pass(<<~RUBY, limit: 100)
      require #{File.expand_path("../support/random_stream.rb", __dir__).dump}
      WorkShaper.logger = Logger.new(StringIO.new)
      #{count}.times do |number|
        puts "seed \#{#{first} + number}"
        $stdout.flush # for who looks at one that hangs
        wrong = RandomStream.new(#{first} + number).run
        abort wrong if wrong
      end
      puts "passed"
    RUBY
  end
end
