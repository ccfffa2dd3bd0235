# frozen_string_literal: true

module Demo
  # The memory of this process.
  module Memory
    STATUS = "/proc/self/status"

    # The highest resident memory so far, in bytes; where the system does not report it (macOS), the highest of the
    # moments at which this was called; nil without a `ps`.
    def self.highest
      @highest = [@highest, resident].compact.max
    end

    def self.resident
      kilobytes = File.readable?(STATUS) ? File.read(STATUS)[/^VmHWM:\s+(\d+)/, 1] : `ps -o rss= -p #{Process.pid}`
      kilobytes.to_i.nonzero? && (kilobytes.to_i * 1024)
    rescue SystemCallError
      nil
    end
    private_class_method :resident
  end
end
