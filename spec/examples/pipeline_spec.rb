# frozen_string_literal: true

require "spec_helper"
require "json"
require "tempfile"

RSpec.describe "examples/pipeline.rb" do
  it "completes each line in order, and tells which it has left out" do
    lines = Array.new(1_000) { |number| JSON.generate(number: number, article: "article #{number % 10}") }
    lines[500] = "{"
    input = Tempfile.new("orders")
    input.puts(lines)
    input.close
    program = Program.ruby(File.join(Program::ROOT, "examples", "pipeline.rb"), input.path)

    expect(program.wait).to eq(0), -> { program.to_s }
    orders = program.stdout.lines.map { |line| JSON.parse(line) }
    expect(orders.map { |order| order["number"] }).to eq([*0...1_000] - [500])
    expect(orders.map { |order| order["price"] }.uniq.size).to eq(10)
    expect(program.stderr).to match(/\A"\{": JSON::ParserError\n\z/)
  ensure
    input&.close!
    program&.close
  end
end
