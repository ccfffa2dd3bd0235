# frozen_string_literal: true

module WorkShaper
  module CommandLine
    # What is printed. Names, keys and errors are anybody's: nothing of them may move the cursor, or hide.
    #
    # @private
    module Text
      HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/
      HIDDEN_BUT_LINES = /(?!\n)#{HIDDEN}/

      class << self
        # @param lines [Boolean] whether it may have more than one line
        # @return [String] as valid UTF-8, what cannot be seen escaped
        def shown(text, lines: false)
          text = text.to_s.dup
          text.force_encoding(Encoding::UTF_8) if text.encoding == Encoding::BINARY
          text = text.encode(Encoding::UTF_8, invalid: :replace, undef: :replace).scrub
          text.gsub(lines ? HIDDEN_BUT_LINES : HIDDEN) { |character| character.dump[1..-2] }
        end

        # A table with its columns side by side, numbers to the right. Small enough to need no gem.
        #
        # @param rows [Array<Array>] the first one is the head; nil: not known
        # @return [Array<String>] lines
        def table(rows)
          texts = rows.map { |row| row.map { |value| cell(value) } }
          widths = texts.transpose.map { |column| column.map(&:length).max }
          right = rows.transpose.map { |column| column.drop(1).any?(Integer) }
          texts.map do |row|
            row.zip(widths, right).map { |text, width, number| number ? text.rjust(width) : text.ljust(width) }
               .join("  ").rstrip
          end
        end

        # 12345 -> "12,345"
        def number(number)
          number.to_s.gsub(/(?<=\d)(?=(\d{3})+\z)/, ",")
        end

        # "1 message", "2 messages"
        def count(number, word)
          "#{number(number)} #{word}#{"s" unless number == 1}"
        end

        private

        def cell(value)
          case value
          when nil then "-"
          when Integer then number(value)
          else shown(value)
          end
        end
      end
    end
  end
end
