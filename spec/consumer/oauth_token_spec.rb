# frozen_string_literal: true

require "spec_helper"
require "socket"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "with oauth_token" do
  let(:token) { { token: "secret", lifetime_ms: (Time.now.to_i + 60) * 1000, principal_name: "orders" } }

  # Where nobody listens, which librdkafka finds out only when it has a token.
  def failure_with(source)
    port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
    login = { "security.protocol": "sasl_plaintext", "sasl.mechanisms": "OAUTHBEARER" }
    consumer = made_consumer(config: config_for("127.0.0.1:#{port}", "specs").merge(login), topics: "orders",
                             oauth_token: source)
    start(consumer)
    failure_of(consumer)
  end

  it "calls it when librdkafka needs a token, and not rdkafka's own callback" do
    calls = []
    global = Rdkafka::Config.oauthbearer_token_refresh_callback
    Rdkafka::Config.oauthbearer_token_refresh_callback = ->(*) { calls << :global }
    failure = failure_with(-> { (calls << :ours) && token.merge(extensions: { "a" => "b", c: 1 }) })
    expect([failure, calls]).to match([be_a(WorkShaper::NoBroker), [:ours]])
  ensure
    Rdkafka::Config.oauthbearer_token_refresh_callback = global
  end

  { "raises" => [-> { raise IOError, "the provider is down" }, "IOError: the provider is down"],
    "gives no token" => [-> { { lifetime_ms: 1, principal_name: "orders" } }, "missing keyword: :token"],
    "gives what is no Hash" => [-> { "secret" }, "TypeError"],
    "gives one that has expired" => [-> { { token: "secret", lifetime_ms: 1, principal_name: "orders" } }, "xpire"] }
    .each do |how, (source, reason)|
      it "ends run with the reason when it #{how}" do
        expect(failure_with(source)).to be_a(WorkShaper::NotAllowed).and have_attributes(message: include(reason))
      end
    end

  it "refuses what cannot be called without an argument" do
    expect { made_consumer(config: config_for("x", "y"), topics: "z", oauth_token: "secret") }.to raise_error(TypeError)
    expect { made_consumer(config: config_for("x", "y"), topics: "z", oauth_token: ->(name) { name }) }
      .to raise_error(ArgumentError, /oauth_token takes \(req name\); it is called with none/)
  end
end
