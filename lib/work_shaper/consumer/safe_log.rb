# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Writes lines to the log. A logger that raises (a full disk, a closed stream) is no reason to stop.
    #
    # @private
    module SafeLog
      class << self
        %i[info warn].each do |level|
          define_method(level) do |**fields|
            WorkShaper.logger.public_send(level, fields.compact)
          rescue StandardError
            nil
          end
        end
      end
    end

    private_constant :SafeLog
  end
end
