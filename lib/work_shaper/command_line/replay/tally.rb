# frozen_string_literal: true

module WorkShaper
  module CommandLine
    class Replay
      # What has become of the letters, counted.
      #
      # @private
      class Tally
        # @return [Hash{Array(String, String) => Integer}] sent, by topic and class of the error
        attr_reader :sent

        # @return [Hash{String => Integer}] those that cannot be sent, by why
        attr_reader :unsendable

        # @return [Integer] of other classes than the one asked for; sent by a replay before
        attr_accessor :others, :sent_before

        def initialize
          @sent = Hash.new(0)
          @unsendable = Hash.new(0)
          @others = @sent_before = 0
        end

        # @param done [String] what has happened: "sent"
        # @return [Array<String>] lines
        def lines(done)
          rows = sent.sort_by { |_, count| -count }.map { |(topic, error), count| [topic, error, count] }
          all = "#{Text.count(sent.values.sum, "letter")} #{done}"
          notes = { "of other classes" => others, "sent by a replay before" => sent_before }
          notes = notes.filter_map { |what, count| "#{Text.number(count)} #{what}" if count.positive? }
          [*(Text.table([HEAD, *rows]) if rows.any?), [all, *notes].join(", "), *left]
        end

        private

        def left
          unsendable.map { |why, count| "#{Text.count(count, "letter")} left: #{Text.shown(why)}" }
        end
      end

      private_constant :Tally
    end
  end
end
