# frozen_string_literal: true

module WorkShaper
  # Stands in for Logger where the logger gem is missing: the same lines, and no more than managers need.
  class PlainLog
    # The levels, the lowest first; each is a method.
    LEVELS = %i[debug info warn error fatal unknown].freeze

    # @return [Integer] the lowest level that is written, 0 for debug
    attr_reader :level

    def initialize(io, level:, formatter:)
      @io = io
      self.level = level
      @formatter = formatter
    end

    # @param level [Integer, String, Symbol] a number, or a name as in LEVELS
    def level=(level)
      @level = level.is_a?(Integer) ? level : LEVELS.index(level.downcase.to_sym)
    end

    LEVELS.each_with_index do |name, severity|
      define_method(name) do |message = nil, &block|
        return true if severity < level

        @io.write(@formatter.call(name.to_s.upcase, Time.now, nil, block ? block.call : message))
        true
      end
    end
  end

  private_constant :PlainLog
end
