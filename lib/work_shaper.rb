# frozen_string_literal: true

require_relative "work_shaper/version"
require_relative "work_shaper/errors"
require_relative "work_shaper/log"
require_relative "work_shaper/clock"
require_relative "work_shaper/guard"
require_relative "work_shaper/safe_log"
require_relative "work_shaper/events"
require_relative "work_shaper/settings"
require_relative "work_shaper/callbacks"
require_relative "work_shaper/rails_execution"
require_relative "work_shaper/connection_pools"
require_relative "work_shaper/retry_policy"
require_relative "work_shaper/breaker"
require_relative "work_shaper/time_limit"
require_relative "work_shaper/recovery"
require_relative "work_shaper/reports"
require_relative "work_shaper/closer_look"
require_relative "work_shaper/extension"
require_relative "work_shaper/failure"
require_relative "work_shaper/current"
require_relative "work_shaper/trace_headers"
require_relative "work_shaper/manager"
require_relative "work_shaper/batches"
require_relative "work_shaper/stream/stream"
require_relative "work_shaper/histogram"
require_relative "work_shaper/census"
require_relative "work_shaper/shared"

# Parallel work on one Kafka partition.
#
# The messages of one *sub key* run one after the other, in the order in which they were enqueued; different sub keys
# run side by side; and the offsets of a *partition* are acknowledged only in contiguous, ascending order: a finished
# offset waits until all lower ones are finished.
#
# @see Manager
module WorkShaper
  private_constant :Intake, :Feeding, :OffsetMap, :RetryPolicy, :Breaker, :TimeLimit

  autoload :Web, "work_shaper/web"
  autoload :Systemd, "work_shaper/systemd"
  autoload :Metrics, "work_shaper/metrics"
  autoload :LoadTest, "work_shaper/load_test"
  autoload :Consumer, "work_shaper/consumer" # needs rdkafka, which not every application has
  autoload :Testing, "work_shaper/testing" # for tests
  autoload :OpenTelemetry, "work_shaper/open_telemetry" # needs opentelemetry-api

  private_constant :Systemd # before it is loaded, too
end

require_relative "work_shaper/railtie" if defined?(Rails::Railtie)
