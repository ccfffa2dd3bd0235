# frozen_string_literal: true

require "spec_helper"
require_relative "shared_examples"

RSpec.describe "examples/karafka.rb", :kafka, watchdog: 120 do
  it_behaves_like "an example", "karafka" do
    def command(_file)
      %w[karafka server]
    end

    def settings(file)
      { "BOOTSTRAP_SERVERS" => group.servers, "GROUP_ID" => group.name, "TOPIC" => topic.name,
        "KARAFKA_BOOT_FILE" => file }
    end

    # On the mock cluster a member that joins again waits for as long as a session lasts, 45 s unless told.
    def adapt(text)
      return text if kafka.real?

      text.sub(/(?="auto\.commit)/, "\"session.timeout.ms\": #{session_ms}, \"heartbeat.interval.ms\": 100, ")
    end

    # What lies before the message that failed was marked.
    def expect_repeats(finished, failing)
      repeated = finished.group_by(&:id).values.select { |lines| lines.size > 1 }.map(&:first)
      expect(repeated.map { |line| "#{topic.name}/#{line.partition}" }.uniq - [failing.partition]).to be_empty
      expect(repeated.map(&:offset)).to all(be > failing.offset)
    end
  end
end
