# frozen_string_literal: true

module WorkShaper
  module Testing
    # Lines of the log that are written on a thread while a session works there go to its result, and not to
    # WorkShaper.logger.
    #
    # @private
    module Log
      LINES = :work_shaper_testing_lines # a thread variable

      # @param lines [Array<Hash>] where lines of this thread go while the block runs
      def self.capture(lines)
        before = Thread.current.thread_variable_get(LINES)
        Thread.current.thread_variable_set(LINES, lines)
        yield
      ensure
        Thread.current.thread_variable_set(LINES, before)
      end

      # Whether a session works on this thread.
      def self.captures?
        !Thread.current.thread_variable_get(LINES).nil?
      end

      %i[info warn error].each do |level|
        define_method(level) do |**fields, &block|
          return super(**fields, &block) unless Log.captures?

          write(level, (fields unless block), &block)
        end
      end

      def write(level, fields = nil)
        lines = Thread.current.thread_variable_get(LINES) or return super
        Guard.run(->(_) {}) { lines << { level: level, **(fields || yield).compact }.freeze }
        nil
      end
    end
  end
end
