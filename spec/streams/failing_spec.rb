# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Stream, "whose work fails" do
  # What came out, and what was raised.
  def results_of(stream)
    results = []
    stream.each { |result| results << result } # rubocop:disable Style/MapIntoArray -- what came before it raised
    [results, nil]
  rescue Exception => e # rubocop:disable Lint/RescueException
    [results, e]
  end

  def numbers(count = 10, **options, &block)
    WorkShaper.stream(1..count, concurrency: 4, **options, &block)
  end

  it "raises the error of the lowest index, once all before it has come out" do
    second = Queue.new
    results, error = results_of(numbers do |n|
      second.pop if n == 3
      second << 1 if n == 5
      raise IndexError, "at #{n}" if [3, 5].include?(n)

      n
    end)
    expect([results, error]).to match([[1, 2], be_a(IndexError).and(have_attributes(message: "at 3"))])
  end

  it "reads nothing more, and tells and interrupts what runs behind the failure, and nothing before it" do
    at_work = Queue.new
    gate = Queue.new
    ended = Queue.new
    read = 0
    source = Enumerator.new { |inputs| loop { inputs << (read += 1) } }
    results, error = results_of(WorkShaper.stream(source, concurrency: 4) do |n|
      at_work << n
      if n == 2
        Thread.pass until at_work.size == 4
        raise "two"
      end
      gate.pop
    rescue WorkShaper::Cancelled
      gate << :first if (ended << n).size == 2
      raise
    end)
    expect([results, error.message]).to eq([[:first], "two"])
    expect(Array.new(ended.size) { ended.pop }).to contain_exactly(3, 4)
    expect(read).to be <= 18
  end

  it "raises the first error in time when it is unordered" do
    failing = numbers(2, ordered: false, interrupt: false) do |n|
      Thread.pass until n == 2 || failing.error
      raise "at #{n}"
    end
    _, error = results_of(failing)
    expect(error.message).to eq("at 2")
  end

  it "still knows the error afterwards" do
    failing = numbers { |n| n == 3 ? raise(IOError, "three") : n }
    expect { failing.to_a }.to raise_error(IOError)
    expect(failing.error).to be_a(IOError).and have_attributes(message: "three")
  end

  it "tells who pushes at once" do
    gate = Queue.new
    pushed = described_class.new(concurrency: 2) { |n| n.zero? ? gate.pop : raise(IOError, "broken") }
    pushed << 0 << 1
    eventually { pushed.error }
    expect { pushed << 2 }.to raise_error(IOError, "broken")
    gate << :zero
    expect(pushed.next).to eq(:zero)
    expect { pushed.next }.to raise_error(IOError, "broken")
  end

  it "collects errors, and raises them when all have run" do
    results, error = results_of(numbers(give_up: :collect) { |n| n % 4 == 2 ? raise("no #{n}") : n })
    expect(results).to eq([1, 3, 4, 5, 7, 8, 9])
    expect(error).to be_a(WorkShaper::Failures).and have_attributes(size: 3)
    expect(error.map { |row| [row.index, row.input, row.error.message] })
      .to eq([[1, 2, "no 2"], [5, 6, "no 6"], [9, 10, "no 10"]])
  end

  it "skips, or replaces" do
    odd = ->(n) { n.even? ? raise("no #{n}") : n }
    expect(WorkShaper.map(1..4, give_up: :skip, &odd)).to eq([1, 3])
    expect(WorkShaper.map(1..4, give_up: ->(error, n) { [error.message, n] }, &odd))
      .to eq([1, ["no 2", 2], 3, ["no 4", 4]])
    expect { WorkShaper.map(1..4, give_up: ->(*) { raise KeyError, "nothing instead" }, &odd) }
      .to raise_error(KeyError) { |error| expect(error.cause.message).to eq("no 2") }
  end

  it "follows rules, whose actions are the same" do
    rules = { KeyError => :skip, IOError => { attempts: 3, wait: 0.001 }, IndexError => ->(_, n) { -n } }
    tries = Hash.new(0)
    results, error = results_of(numbers(5, rules: rules, give_up: :collect) do |n|
      tries[n] += 1
      case n
      when 1 then raise KeyError
      when 2 then raise IOError, "two"
      when 3 then raise StopIteration # an IndexError
      when 4 then raise ArgumentError
      else n
      end
    end)
    expect([results, error.map(&:index), tries[2]]).to eq([[-3, 5], [1, 3], 3])
    expect { numbers(rules: { KeyError => "topic" }) { nil } }.to raise_error(ArgumentError, /in a stream it must be/)
  end

  it "tries again, in place, and tells on_error of each try" do
    told = Queue.new
    tries = WorkShaper.map(1..20, attempts: 3, wait: 0.005, on_error: lambda { |error, n|
      told << [n, error.message]
    }) do |n|
      raise "again" if WorkShaper.current.attempt < 3

      [n, WorkShaper.current.attempt, WorkShaper.current.index]
    end
    expect(tries).to eq((1..20).map { |n| [n, 3, n - 1] })
    expect(Array.new(told.size) { told.pop }.tally).to eq((1..20).to_h { |n| [[n, "again"], 2] })
  end

  it "gives up at once with GiveUp" do
    tries = 0
    expect { WorkShaper.map([1], attempts: 9) { (tries += 1) && raise(WorkShaper::GiveUp, "no use") } }
      .to raise_error(WorkShaper::GiveUp)
    expect(tries).to eq(1)
  end

  it "raises what ends a loop or the process as an Error, and all else as it is" do
    { StopIteration => WorkShaper::Error, SystemExit => WorkShaper::Error, Interrupt => WorkShaper::Error,
      NotImplementedError => NotImplementedError }.each do |raised, seen|
      _, error = results_of(numbers { |n| n == 3 ? raise(raised) : n })
      expect(error.class).to be(seen)
      expect([error, error.cause]).to include(be_a(raised))
    end
  end

  it "holds an error where a worker was killed, and goes on" do
    work = ->(n) { n == 5 ? Thread.current.kill : n }
    expect { numbers(&work).to_a }.to raise_error(WorkShaper::Error, /killed/)
    results, error = results_of(numbers(give_up: :collect, &work))
    expect([results, error.map(&:index)]).to eq([[1, 2, 3, 4, 6, 7, 8, 9, 10], [4]])
    expect(error.first.error).to be_a(WorkShaper::Error)
  end

  it "survives an on_error that raises" do
    expect(WorkShaper.map(1..3, give_up: :skip, on_error: ->(*) { raise "mine" }) { |n| n == 2 ? raise("its") : n })
      .to eq([1, 3])
  end
end
