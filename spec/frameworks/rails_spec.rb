# frozen_string_literal: true

require "spec_helper"
require "json"
require "tmpdir"
require_relative "run"

RSpec.describe "WorkShaper in a Rails application", watchdog: 300 do
  def run_in(bundle, mode)
    Dir.mktmpdir do |directory|
      child = File.join(__dir__, "rails_child.rb")
      run = Frameworks::Run.new(Frameworks::Framework.new(bundle).install, "ruby", child, directory, mode, limit: 120)
      expect(run.wait).to eq(0), -> { run.to_s }
      expect(run.stderr).to eq("")
      JSON.parse(run.stdout)
    end
  end

  # Each failed attempt once, and each failure of a callback.
  def reports
    place = { "topic" => "payments", "partition" => 0, "group" => "shop-payments" }
    rows = [[0, "IOError", { "customer" => 7 }], [1, "NotImplementedError"], [2, "WorkShaper::Timeout"],
            [3, "ArgumentError"], [4, "IOError"], [4, "KeyError"], [5, "IOError"]]
    twice = rows.flat_map do |offset, error, more|
      [1, 2].map { |attempt| [offset, error, place.merge("attempt" => attempt, **more.to_h)] }
    end
    [*twice, [5, "IndexError", place.merge("attempt" => 2)]].map { |row| [*row, [false, "error", "work_shaper"]] }
  end

  def expect_executor(result)
    expect(result["leak"]).to eq("rows" => true, "outside" => 0, "kept" => 0,
                                 "log" => ["concurrency to 5 or less\", :concurrency=>25, :pools=>{\"primary\"=>5}}"])
    failures = result["failures"]
    expect(failures["reports"]).to match_array(reports)
    expect(failures).to include("inside" => { "on_error true" => 12, "give_up true" => 7 }, "skipped" => 6, "kept" => 0,
                                "keys" => %w[attempt customer group offset partition topic])
    reports = [[1, "ArgumentError", { "partition" => "(a batch of 2)", "attempt" => 1 }]]
    expect(result["managers"]).to eq("kept" => 0, "error" => ["[3:7]"], "reports" => reports)
    report = [9, "RuntimeError", { "partition" => 3, "attempt" => 1 }]
    expect(result["hooks"]).to eq("told" => ["hook"], "reports" => [report, report])
  end

  def expect_log(result)
    expect(result["railtie"]).to match("logger" => true, "events" => /failed, attempt 1: IOError: io/)
    expect(result["log"]).to eq("work" => ["[payments/0:0]"], "refused" => ["[payments/0:5]"], "consumer" => [""],
                                "small_pools" => 3, # not of those with a concurrency of 5
                                "skipped" => (0..5).map { |offset| "[payments/0:#{offset}]" })
  end

  def expect_generator(result)
    expect(result["refused"]).to eq(
      [%(NAME is "1orders"; it must make the name of a class, as orders does\n),
       %(NAME is "or-ders!"; it must make the name of a class, as orders does\n),
       %(--topic is "a b"; it must be a topic's name, or a "^pattern"\n),
       "--group is empty; it must name the consumer group\n", []]
    )
    made = result["made"]
    expect(made.keys).to contain_exactly(
      "config/work_shaper.rb", "app/consumers/refunds_consumer.rb", "test/consumers/refunds_consumer_test.rb",
      "app/consumers/billing/invoices_consumer.rb", "test/consumers/billing/invoices_consumer_test.rb"
    )
    expect(made["config/work_shaper.rb"])
      .to end_with("\n\nRefundsConsumer.consumer\n\nBilling::InvoicesConsumer.consumer\n")
    expect(made["app/consumers/refunds_consumer.rb"]).to include(%("group.id": "returns"), %(topics: "refunds"))
    expect(made["app/consumers/billing/invoices_consumer.rb"])
      .to include(%("group.id": "shop-invoices"), %(topics: "invoices.v2"), "::Billing::InvoicesConsumer.new.call")
    expect(result).to include("again" => true, "destroyed" => {
                                "more" => ["app/consumers/billing/letters_consumer.rb",
                                           "spec/consumers/billing/letters_consumer_spec.rb"], "left" => true
                              })
  end

  it "runs callbacks in the executor, reports each failure once, tags the log, reloads, generates; development" do
    result = run_in("rails", "development")
    expect_executor(result)
    expect_log(result)
    expect_generator(result)
    # Code is loaded from one message to the next, and waits for work that runs the old one; a stop does not.
    expect(result).to include("reloaded" => %w[two three], "blocked" => 0, "stopped" => false, "tested" => [1])
  end

  it "does the same in production, with the first Rails that has Rails.error" do
    result = run_in("rails_7_0", "production")
    expect_executor(result)
    expect_log(result)
  end
end
