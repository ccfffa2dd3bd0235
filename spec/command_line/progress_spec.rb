# frozen_string_literal: true

RSpec.describe "How far a command says it is" do
  let(:progress) do
    require "work_shaper/clock"
    require "work_shaper/command_line/progress"
    WorkShaper.const_get(:CommandLine)::Progress
  end

  def shown(output)
    bar = progress.start("replay", 1_000, output)
    bar.reach(250)
    bar.reach(1_200) # more has come
    bar.stop
    output.string
  end

  it "is a bar in a terminal, if the gem is there" do
    expect(shown(CommandHelpers::Terminal.new)).to match(%r{replay \| +\| 0/1000.*replay \|=+\| 1200/1200}m)
  end

  it "is a line now and then elsewhere, and where the gem is not there" do
    expect(shown(StringIO.new)).to eq("")
    lines = progress::Lines.new("replay", 1_000, output = StringIO.new)
    allow(WorkShaper.const_get(:Clock)).to receive(:now).and_return(WorkShaper.const_get(:Clock).now + 6)
    2.times { lines.reach(250) }
    expect(output.string).to eq("replay: 250 of 1,000\n")
    allow(progress).to receive(:require).with("ruby-progressbar").and_raise(LoadError)
    expect(progress.start("replay", 1, CommandHelpers::Terminal.new)).to be_a(progress::Lines)
  end
end
