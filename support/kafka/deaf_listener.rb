# frozen_string_literal: true

module KafkaSupport
  # For a Consumer::Client alone: lets partitions come and go, and does nothing else.
  class DeafListener
    def rebalance(change)
      change.carry_out
    end
  end
end
