# frozen_string_literal: true

# The test kit inside a transaction that is rolled back, as Rails' tests do it: ruby active_record_testing.rb

require "active_record"
require "rspec"
require "rspec/autorun"
require "work_shaper/testing/rspec"

ActiveRecord::Base.establish_connection(adapter: "sqlite3", database: ":memory:")
ActiveRecord::Schema.verbose = false
ActiveRecord::Schema.define do
  create_table(:accounts) { |table| table.integer :balance, default: 0 }
  create_table(:processed) { |table| table.string :source, index: { unique: true } }
end

class Account < ActiveRecord::Base; end

class Processed < ActiveRecord::Base
  self.table_name = "processed"

  # The first recipe of docs/failures.md.
  def self.once(id)
    transaction(requires_new: true) do
      create!(source: id)
      yield
    end
  rescue ActiveRecord::RecordNotUnique
    raise unless exists?(source: id)
  end
end

RSpec.describe "A consumer of deposits" do
  let!(:account) { Account.create! }
  let(:deposits) { Array.new(3) { { payload: "10", key: "account" } } }

  around do |example|
    ActiveRecord::Base.transaction do
      example.run
      raise ActiveRecord::Rollback
    end
    raise "something is left" unless [Account.count, Processed.count] == [0, 0]
  end

  def consumer(&work)
    WorkShaper::Consumer.new(config: { "bootstrap.servers": "127.0.0.1:9", "group.id": "specs" }, topics: "orders",
                             &work)
  end

  def deposit(message)
    Account.where(id: account.id).update_all(["balance = balance + ?", message.payload.to_i])
  end

  it "is repeatable with an index that is unique" do
    once = consumer { |message| Processed.once(message.id) { deposit(message) } }
    expect(once).to(be_repeatable.with(deposits).leaving { Account.all })
    expect(account.reload.balance).to eq(30)
  end

  it "is not without" do
    expect(consumer { |message| deposit(message) }).not_to(be_repeatable.with(deposits).leaving { Account.all })
  end
end
