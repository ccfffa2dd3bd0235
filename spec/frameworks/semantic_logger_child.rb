# frozen_string_literal: true

# A manager that logs to semantic_logger, which prints JSON.

require "semantic_logger"
require "work_shaper"

SemanticLogger.default_level = :info
SemanticLogger.add_appender(io: $stdout, formatter: :json)
WorkShaper.logger = SemanticLogger["WorkShaper"]

shaper = WorkShaper::Manager.new(work: ->(message, *) { raise IOError, message }, ack: ->(*) {})
shaper.enqueue(:key, "disk", 0, 7)
shaper.enqueue(:key, "x" * 800_000, 0, 8)
shaper.shutdown(timeout: 10)
SemanticLogger.flush
