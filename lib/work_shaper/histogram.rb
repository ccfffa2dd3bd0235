# frozen_string_literal: true

module WorkShaper
  # Most of it is native.
  class Histogram
    # What is usually asked for.
    PERCENTILES = [50, 90, 95, 99, 99.9, 99.99].freeze
    private_constant :PERCENTILES

    # The numbers, for a log or a report.
    #
    # @return [Hash{Symbol => Object}] `count`; `mean`, `min` and `max` in seconds; and `percentiles`, a Hash of percent
    #   to seconds. All but `count` are nil when there is no value
    # @example
    #   histogram.to_h[:percentiles][99.9] #=> 0.0123
    def to_h
      { count: count, mean: mean, min: min, max: max,
        percentiles: PERCENTILES.to_h { |percent| [percent, percentile(percent)] } }
    end

    # @return [String]
    def inspect
      "#<#{self.class} of #{count} values>"
    end
  end
end
