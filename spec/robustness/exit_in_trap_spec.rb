# frozen_string_literal: true

require "spec_helper"

# While Ruby ends all threads the main thread still runs trap handlers: what they start would never be told to end.
RSpec.describe "The end of the process, with a signal meanwhile" do
  uses = {
    "request_shutdown" => "m.request_shutdown", "flush" => "m.flush", "shutdown" => "m.shutdown(timeout: 1)",
    "drain" => "m.drain(timeout: 1)", "try_enqueue" => "m.try_enqueue(:new, nil, 0, 9)",
    "a manager of its own" => "manager.enqueue(:new, nil, 0, 9)"
  }
  uses.each do |name, use|
    it "comes although the trap handler uses #{name} (I8)" do
      result = run_ruby(<<~RUBY, limit: 10)
        m = manager(concurrency: 2, work: lambda do |*|
          sleep
        ensure
          Process.kill(:TERM, Process.pid)
          sleep 0.3 # the handler runs meanwhile
        end)
        trap("TERM") do
          begin
            #{use}
          rescue WorkShaper::Error, ThreadError
            nil # no thread can be started any more
          end
          $stdout.puts "handled"
          $stdout.flush
        end
        4.times { |offset| m.enqueue(offset, nil, 0, offset) }
        wait_until("at work") { m.stats[:running] == 2 }
      RUBY
      expect(result.stdout).to include("handled"), result.to_s
      expect(result.seconds).to be < 8, result.to_s
    end
  end

  it "comes although the workers of two managers wait for each other as they die (I8)" do
    result = run_ruby(<<~RUBY, limit: 10)
      a = b = nil
      a = manager(work: lambda { |*| begin; sleep; ensure; b.drain; end })
      b = manager(work: lambda { |*| begin; sleep; ensure; a.drain; end })
      [a, b].each { |m| m.enqueue(:key, nil, 0, 0) }
      wait_until("at work") { [a, b].all? { |m| m.stats[:running] == 1 } }
    RUBY
    expect(result.seconds).to be < 8, result.to_s
  end
end
