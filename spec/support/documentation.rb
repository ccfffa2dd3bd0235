# frozen_string_literal: true

# The examples of docs/testing.md as a script, in which each "#=>" is checked.
module Documentation
  CHECK = <<~RUBY
    def expect_documented(value, documented)
      value == documented or abort("documented: \#{documented.inspect}, but it is \#{value.inspect}")
      puts "as it says"
    end
  RUBY

  class << self
    def examples
      File.read(File.join(Program::ROOT, "docs", "testing.md")).scan(/^```ruby\n(.*?)^```/m).flatten
    end

    # The one that needs Minitest.
    def minitest
      examples.find { |example| example.include?("testing/minitest") }
    end

    def script(examples)
      [CHECK, *examples].join("\n").gsub(/^(\S.*?)\s*#=> (.*)$/, 'expect_documented((\1), (\2))')
                        .gsub(/^(\S.*)\n#=> (.*)$/, "expect_documented((\\1),\n(\\2))")
    end
  end
end
