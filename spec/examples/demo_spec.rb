# frozen_string_literal: true

require "spec_helper"

RSpec.describe "bin/demo", watchdog: 120 do
  def demo(*arguments)
    without = { "BOOTSTRAP_SERVERS" => nil, "TOPIC" => nil }
    Program.new(File.join(Program::ROOT, "bin", "demo"), *arguments, env: without, limit: 100)
  end

  # Without what the set-up says when the sources changed since the last time.
  def complaints(program)
    program.stderr.gsub(/^setup: .* \.\.\.\n/, "")
  end

  def row(program, title)
    program.stdout[/^\| #{Regexp.escape(title)} .*$/].to_s.split("|").map(&:strip).drop(2)
  end

  it "shows a table: faster, in order, all of it committed" do
    program = demo("--messages", "500")

    expect([program.wait, complaints(program)]).to eq([0, ""]), -> { program.to_s }
    expect(row(program, "messages")).to eq(%w[100 500])
    expect(row(program, "speed-up").last.to_f).to be > 2
    expect(row(program, "order violations per key")).to eq(%w[0 0])
    expect(row(program, "offset committed on the broker")).to eq(%w[- 500])
    expect(row(program, "high watermark")).to eq(%w[- 500])
    expect(program.stdout).to include("tried again 60 times; 5 messages are in work_shaper_demo_dead",
                                      "495 worked on, 0 out of order")
    expect(program.stdout.lines.last).to match(%r{\AThe page of a consumer at work \(web: 9394\): http://127\.0\.0\.1:\d+/\n})
    expect(row(program, "highest memory so far, MB").map(&:to_i)).to all(be_positive)
  end

  it "ends on Ctrl-C with the table so far, everything that was worked on committed" do
    program = demo
    program.wait_until("the second progress bar") { program.stdout.include?("WorkShaper: |=") }
    program.signal(:INT)

    expect([program.wait, complaints(program)]).to eq([130, ""]), -> { program.to_s }
    expect(row(program, "messages").last.delete(",").to_i).to be_between(1, 19_999)
    expect(row(program, "offset committed on the broker").last).to eq(row(program, "messages").last)
    expect(row(program, "high watermark").last).to eq("20,000")
  end

  it "says in one line what it cannot do" do
    program = demo("--messages", "0")

    expect(program.wait).to eq(2)
    expect(complaints(program)).to match(/\Ademo: .*--messages 0.*\n\z/)
  end
end
