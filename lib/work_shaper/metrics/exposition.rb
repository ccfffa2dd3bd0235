# frozen_string_literal: true

module WorkShaper
  module Metrics
    # Metrics as text: the Prometheus text format, or OpenMetrics 1.0.
    #
    # @see https://prometheus.io/docs/instrumenting/exposition_formats/
    # @see https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
    # @private
    class Exposition
      # Seconds; the upper bounds of a histogram's buckets.
      BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0].freeze
      ESCAPES = { "\\" => "\\\\", "\"" => "\\\"", "\n" => "\\n" }.freeze

      # @param families [Hash{Symbol => Array(Symbol, String)}] type and help of each, by name
      # @param openmetrics [Boolean]
      def initialize(families, openmetrics)
        @families = families
        @openmetrics = openmetrics
        @samples = families.transform_values { {} }
      end

      # Adds to a counter, or to a gauge. What has the same labels is added up; nil is nothing.
      #
      # @param name [Symbol]
      # @param value [Numeric, Boolean, nil]
      # @param labels [Hash{Symbol => Object}]
      def add(name, value, **labels)
        return if value.nil?

        value = value ? 1 : 0 unless value.is_a?(Numeric)
        samples = @samples.fetch(name)
        samples[labels] = samples.fetch(labels, 0) + value
      end

      # The same for a histogram.
      #
      # @param histogram [Histogram]
      def merge(name, histogram, **labels)
        samples = @samples.fetch(name)
        samples[labels] = samples.fetch(labels) { Histogram.new }.merge(histogram)
      end

      # @return [String]
      def to_s
        lines = @families.flat_map { |name, (type, help)| family(name, type, help) }
        lines << "# EOF" if @openmetrics
        lines.map { |line| "#{line}\n" }.join
      end

      private

      def family(name, type, help)
        return [] if @samples[name].empty?

        counter = type == :counter
        title = counter && !@openmetrics ? "#{name}_total" : name
        samples = @samples[name].flat_map do |labels, value|
          type == :histogram ? histogram(name, labels, value) : [sample("#{name}#{"_total" if counter}", labels, value)]
        end
        ["# HELP #{title} #{help}", "# TYPE #{title} #{type}", *samples]
      end

      def histogram(name, labels, histogram)
        counts = cumulative(histogram)
        [*counts.map { |bound, count| sample("#{name}_bucket", { **labels, le: bound }, count) },
         sample("#{name}_bucket", { **labels, le: "+Inf" }, histogram.count),
         sample("#{name}_sum", labels, histogram.mean.to_f * histogram.count),
         sample("#{name}_count", labels, histogram.count)]
      end

      # How many values are not above each bound.
      def cumulative(histogram)
        values = histogram.each.to_a
        passed = 0
        BUCKETS.to_h do |bound|
          passed += values.shift.last while values.any? && values.first.first <= bound
          [bound, passed]
        end
      end

      def sample(name, labels, value)
        return "#{name} #{value}" if labels.empty?

        "#{name}{#{labels.map { |label, of| "#{label}=\"#{escape(of)}\"" }.join(",")}} #{value}"
      end

      def escape(value)
        text = value.to_s.dup.force_encoding(Encoding::UTF_8).scrub("?")
        text.gsub(/[\\"\n]/, ESCAPES)
      end
    end

    private_constant :Exposition
  end
end
