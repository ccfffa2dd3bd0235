# frozen_string_literal: true

module KafkaSupport
  # For a Consumer::Client alone: hears of rebalances, and does nothing.
  class DeafListener
    def on_partitions_assigned(_list); end

    def on_partitions_revoked(_list); end
  end
end
