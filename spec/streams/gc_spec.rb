# frozen_string_literal: true

require "spec_helper"

RSpec.describe "The garbage collector, with streams" do
  # Objects with content, so that a freed or moved one shows.
  prelude = <<~RUBY
    require "#{File.expand_path("../support/compaction", __dir__)}"
    Input = Struct.new(:text, :number)
    def input(number) = Input.new(+"input \#{number}", number)
    def key_of(input) = input.number % 3 == 0 ? nil : +"key \#{input.number % 5}"

    def result_of(input, tries)
      raise "broken \#{input.inspect}" unless input.text == "input \#{input.number}"
      raise "error \#{input.number}" if (input.number % 4).zero? && (tries[input.number] += 1) < 2
      +"result \#{input.number}"
    end

    def stages(count, **options)
      tries = Hash.new(0)
      WorkShaper.stream((0...count).lazy.map { |number| input(number) }, concurrency: 3, attempts: 2, wait: 0.001, jitter: 0,
                        local: -> { +"local" }, release: ->(local) { local.clear }, timeout: 60, deadline: 600,
                        key: method(:key_of), priority: ->(input) { input.number % 2 }, **options) do |input, local|
        raise "broken" unless local == "local"
        result_of(input, tries)
      end.stage(concurrency: 2, max_in_flight: 3, key: ->(text) { text.hash % 2 }) { |text| text + "!" }
    end

    def wanted(count) = Array.new(count) { |number| "result \#{number}!" }
  RUBY

  it "may run at every allocation" do
    expect_child_to_pass(<<~RUBY, limit: 90)
      #{prelude}
      stream, early = stages(5), stages(8)
      GC.stress = true
      out = stream.to_a
      broken = stages(3, give_up: :collect, attempts: 1)
      told = raised(WorkShaper::Failures) { broken.each { } }.map { |row| [row.index, row.input.text, row.error.message] }
      first = early.first(2)
      GC.stress = false
      same(wanted(5), out, "results")
      same([[0, "input 0", "error 0"]], told, "failures")
      same(wanted(2), first, "first")
      passed
    RUBY
  end

  it "may move all there is" do
    expect_child_to_pass(<<~RUBY, limit: 60, env: { "RUBY_GC_HEAP_FREE_SLOTS_MAX_RATIO" => "1.0" })
      #{prelude}
      GC.auto_compact = true if Compaction.supported?
      out = []
      stages(60).each { |text| (out << text) && Compaction.move }
      same(wanted(60), out, "results")
      held = WorkShaper::Stream.new(concurrency: 2, max_in_flight: 20) { |input| result_of(input, Hash.new(1)) }
      10.times { |number| held << input(number) }
      held.close
      Compaction.verify # with results inside
      same(Array.new(10) { |number| "result \#{number}" }, held.to_a, "kept")
      passed
    RUBY
  end
end
