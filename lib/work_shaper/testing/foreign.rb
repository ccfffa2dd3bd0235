# frozen_string_literal: true

module WorkShaper
  module Testing
    # What is no failure of the work, nor of a callback, but gets through to the test: failed expectations, mocks, what
    # ends an example, and the end of a session's process. For `rescue`.
    #
    # @private
    module Foreign
      # Unwinds the thread when the process "dies" in the middle of work.
      class Crashed < Exception; end # rubocop:disable Lint/InheritException -- no `rescue => e` of the work may take it

      NAMES = %w[
        RSpec::Expectations::ExpectationNotMetError RSpec::Mocks::MockExpectationError
        RSpec::Core::Pending::SkipDeclaredInExample Minitest::Assertion Test::Unit::AssertionFailedError
        Timeout::ExitException
      ].freeze
      private_constant :NAMES

      # @return [Boolean] whether it is one of them
      def self.===(error)
        Crashed === error || NAMES.any? { |name| Object.const_defined?(name) && error.is_a?(Object.const_get(name)) }
      end

      # For {Guard}, which otherwise takes them for what a callback raised.
      #
      # @private
      module Passing
        def run(recover)
          super(->(error) { Log.captures? && Foreign === error ? raise(error) : recover.call(error) })
        end
      end
    end
  end
end
