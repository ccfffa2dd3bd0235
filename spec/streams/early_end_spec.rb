# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Stream, "that ends early" do
  def threads_of_streams
    Thread.list.select { |thread| thread.name.to_s.start_with?("work_shaper") }
  end

  # Others of the suite may be about to end.
  before { @before = threads_of_streams }
  after { expect(threads_of_streams - @before).to be_empty } # rubocop:disable RSpec/ExpectInHook -- for each of them

  # Work that waits for the gate, and what became of each.
  let(:gate) { Queue.new }
  let(:begun) { Queue.new }
  let(:ends) { Queue.new }
  let(:work) do
    lambda do |n|
      next n if n == 1

      begun << n
      gate.pop
      ends << [:over, WorkShaper.current.cancelled?]
    rescue WorkShaper::Error => e
      ends << [e.class, WorkShaper.current.cancelled?]
      raise
    end
  end

  def all_ends
    Array.new(ends.size) { ends.pop }
  end

  def sourced(**options)
    WorkShaper.stream(1..100, concurrency: 3, **options, &work)
  end

  def pushed(**options)
    described_class.new(concurrency: 3, **options, &work).tap { |stream| (1..12).each { |n| stream << n } }
  end

  # Opens the gate when the stream has told the work that nobody waits for it.
  def let_go_when_left(stream)
    eventually { gate.num_waiting == 3 }
    Thread.new { eventually { stream.closed? } && gate.close }
  end

  it "tells and waits when its reader breaks" do
    stream = pushed
    stream.each { |n| break let_go_when_left(stream) if n == 1 }
    expect(all_ends).to eq([[:over, true]] * 3)
  end

  it "tells and waits when its reader raises" do
    stream = pushed
    expect { stream.each { let_go_when_left(stream) && raise(KeyError, "the reader's") } }
      .to raise_error(KeyError, "the reader's")
    expect(all_ends).to eq([[:over, true]] * 3)
  end

  it "interrupts, too, when its reader is killed" do
    reader = Thread.new { sourced.to_a }
    eventually { gate.num_waiting == 3 }
    reader.kill.join
    expect(all_ends).to eq([[WorkShaper::Cancelled, true]] * 3)
  end

  it "interrupts when it is cancelled, by whom ever" do
    stream = sourced
    Thread.new { eventually { gate.num_waiting == 3 } && stream.cancel }
    expect { stream.to_a }.to raise_error(WorkShaper::Cancelled)
    expect(stream.error).to be_a(WorkShaper::Cancelled)
    expect(all_ends).to eq([[WorkShaper::Cancelled, true]] * 3)
    expect { stream.to_a }.to raise_error(WorkShaper::Cancelled)
  end

  it "ends with the error it is cancelled with, also inside its own work" do
    stream = WorkShaper.stream(1..100, concurrency: 3) { |n| n == 10 ? stream.cancel(IOError.new("enough")) : n }
    expect { stream.to_a }.to raise_error(IOError, "enough")
    expect { stream.cancel("enough") }.to raise_error(TypeError, /must be an exception/)
  end

  it "only tells when it may not interrupt" do
    stream = pushed(interrupt: false)
    let_go_when_left(stream)
    stream.cancel
    expect { stream.to_a }.to raise_error(WorkShaper::Cancelled)
    expect(all_ends).to eq([[:over, true]] * 3)
  end

  it "has a deadline for all, and interrupts then" do
    began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    expect { sourced(deadline: 0.1).to_a }.to raise_error(WorkShaper::Timeout, /longer than 0.1 s/)
    expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - began).to be_between(0.1, 5)
    over = all_ends
    expect(over).to all(eq([WorkShaper::Timeout, true]))
    expect(over.size).to be_between(begun.size, 3) # workers may begin too late to be there
  end

  it "has a timeout for each, which is a failure like any other" do
    expect(WorkShaper.map(1..3, timeout: 0.5, give_up: lambda { |error, n|
      [error.class, n]
    }) { |n| n == 2 ? gate.pop : n })
      .to eq([1, [WorkShaper::Timeout, 2], 3])
  end

  it "lets work look for itself" do
    raised = Queue.new
    WorkShaper.map([1], timeout: 0.05, interrupt: false) do
      Thread.pass until WorkShaper.current.remaining.zero?
      WorkShaper.current.check
    rescue WorkShaper::Timeout => e
      raised << e
    end
    expect(raised.size).to eq(1)
    expect(WorkShaper.map([1]) { [WorkShaper.current.remaining, WorkShaper.current.check] }).to eq([[nil, nil]])
  end

  it "drops what waits" do
    ran = Queue.new
    stream = described_class.new(concurrency: 1, max_in_flight: 100) { |n| n.zero? ? gate.pop : ran << n }
    50.times { |n| stream << n }
    eventually { gate.num_waiting == 1 }
    stream.cancel
    expect { stream.each { nil } }.to raise_error(WorkShaper::Cancelled)
    expect([ran.size, *stream.stats.values_at(:in_flight, :waiting, :running)]).to eq([0, 0, 0, 0])
    expect { stream << 1 }.to raise_error(WorkShaper::Cancelled)
  end

  it "does not hit what comes after the block, however close" do
    hits = Queue.new
    200.times do
      stream = WorkShaper.stream(1..8, concurrency: 4, on_error: ->(*) { sleep 0.0001 }, give_up: :skip) do |n|
        raise "some" if n.odd?
      end
      canceller = Thread.new { stream.cancel }
      begin
        stream.to_a
      rescue WorkShaper::Cancelled
        hits << 1
      end
      canceller.join
    end
    expect(hits.size).to be_positive
  end
end
