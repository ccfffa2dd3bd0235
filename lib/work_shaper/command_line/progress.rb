# frozen_string_literal: true

module WorkShaper
  module CommandLine
    # How far it is: a bar where somebody looks, if the gem ruby-progressbar is there; else a line now and then.
    #
    # @private
    module Progress
      # @param total [Integer]
      # @return [#reach, #stop]
      def self.start(title, total, output)
        require "ruby-progressbar" if output.tty?
        output.tty? ? Bar.new(title, total, output) : Lines.new(title, total, output)
      rescue LoadError
        Lines.new(title, total, output)
      end

      # A bar.
      #
      # @private
      class Bar
        FORMAT = "%t |%B| %c/%C %e"

        def initialize(title, total, output)
          @bar = ProgressBar.create(title: title, total: [total, 1].max, format: FORMAT, output: output,
                                    autofinish: false, throttle_rate: 0.1)
        end

        def reach(count)
          @bar.total = count if count > @bar.total
          @bar.progress = count
        end

        def stop
          @bar.stop
        end
      end

      # A line every few seconds.
      #
      # @private
      class Lines
        PERIOD = 5 # seconds

        def initialize(title, total, output)
          @title = title
          @total = total
          @output = output
          @told_at = Clock.now
        end

        def reach(count)
          return if Clock.now - @told_at < PERIOD

          @told_at = Clock.now
          @output.puts "#{@title}: #{Text.number(count)} of #{Text.number(@total)}"
        end

        def stop; end
      end
    end
  end
end
