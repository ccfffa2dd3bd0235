# frozen_string_literal: true

require "base64"
require_relative "../support/kafka/suite"
require "work_shaper/consumer"

# A broker that takes tokens without a signature.
RSpec.describe "A broker that asks for OAuth tokens", kafka: :cluster, watchdog: 120 do
  login = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required " \
          "unsecuredLoginStringClaim_sub=\"broker\";"

  # In the clear, and behind its controller's port with tokens.
  define_method(:settings) do |port|
    plain, controller, sasl = Array.new(3) { |index| "127.0.0.1:#{port + index}" }
    {
      "listeners" => "PLAINTEXT://#{plain},CONTROLLER://#{controller},SASL://#{sasl}",
      "advertised.listeners" => "PLAINTEXT://#{plain},SASL://#{sasl}",
      "listener.security.protocol.map" => "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT",
      "sasl.enabled.mechanisms" => "OAUTHBEARER",
      "listener.name.sasl.oauthbearer.sasl.jaas.config" => login
    }
  end

  let(:cluster) { KafkaSupport::Cluster.new { |port| settings(port) } }
  let(:kafka) { KafkaSupport::RealBroker.new(cluster.servers, cluster: cluster) }
  let(:topic) { kafka_topic }
  let(:dead) { kafka_topic }

  after do
    clean_up_kafka # clients first: they would complain in the middle of the output
    kafka.close
  end

  def sasl
    host, port = cluster.servers.split(":")
    "#{host}:#{port.to_i + 2}"
  end

  def token
    now = Time.now.to_i
    parts = [{ alg: "none" }, { sub: "orders", iat: now, exp: now + 3_600 }]
    text = parts.map { |part| Base64.urlsafe_encode64(JSON.generate(part), padding: false) }.join(".")
    { token: "#{text}.", lifetime_ms: (now + 3_600) * 1_000, principal_name: "orders" }
  end

  it "lets in a consumer with oauth_token, and its dead letters" do
    topic.produce(10, keys: 3)
    config = { "bootstrap.servers": sasl, "group.id": kafka.group("specs-oauth"),
               "security.protocol": "sasl_plaintext", "sasl.mechanisms": "OAUTHBEARER" }
    consumer = WorkShaper::Consumer.new(config: config, topics: topic.name, oauth_token: -> { token }, signals: false,
                                        attempts: 1, give_up: dead.name, on_error: ->(*) {}) { raise "no" }
    running = Thread.new { consumer.run }
    await_kafka(-> { "no dead letters: #{consumer.stats}" }) do
      consumer.stats[:total_dead_lettered] == 10 || !running.alive?
    end
    consumer.stop

    expect(running.value).to be(true)
    expect(dead.high_watermarks).to eq(0 => 10)
  end
end
