# frozen_string_literal: true

module WorkShaper
  module Testing
    class Expectation
      # That it changes nothing when messages come again: they are worked on; then all of them again, with a crash after
      # each; and what the consumer leaves must be the same afterwards.
      #
      # @private
      class Repeatable < Expectation
        GIVEN_UP = %i[skipped dead_lettered given_up stopped].freeze

        # @param messages [Array<Message, Hash>] see {Testing.consume}
        def with(messages)
          @messages = messages
          self
        end

        # @yieldreturn [Object] what the work has left: rows of a database, say
        def leaving(&state)
          @state = state
          self
        end

        # RSpec hands over a block of do and end, which belongs to `to`.
        def matches?(consumer, &state)
          leaving(&state) if state
          super(consumer)
        end

        def description
          "be repeatable"
        end

        private

        def problem(consumer)
          check
          before = state
          first = Testing.consume(consumer, @messages)
          @seed = first.seed
          left = state
          return idle(first) if left == before

          repeated(consumer, first, left)
        end

        def check
          return if @state && @messages

          raise ArgumentError, "say what it works on, and what that leaves: with(messages), and a block that returns " \
                               "the state, as Order.order(:id).pluck(:id, :status) does"
        end

        def state
          Snapshot.of(@state.call)
        end

        # Such an expectation could not fail.
        def idle(first)
          return "no message was worked on to the end" if first.worked.none? { |work| work.outcome == :done }

          "what the consumer leaves was the same before and after its first run: that says nothing of its work (does " \
            "it begin with a clean state?)"
        end

        def repeated(consumer, first, left)
          second = Testing.consume(consumer, @messages, seed: @seed, crash: :after_each)
          given_up = ids_given_up(second) - ids_given_up(first)
          return "gave up what came again, and was worked on before: #{given_up.join(", ")}" if given_up.any?

          now = state
          return if now == left

          "expected it to leave, when all messages came again: #{left.inspect}\n" \
            "but it left: #{now.inspect}"
        rescue Error => e
          "when the messages came again, the consumer ended: #{SafeLog.describe(e)}"
        end

        def ids_given_up(result)
          result.worked.select { |work| GIVEN_UP.include?(work.outcome) }.map { |work| work.message.id }.uniq
        end
      end
    end
  end
end
