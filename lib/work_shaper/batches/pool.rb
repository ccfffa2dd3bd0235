# frozen_string_literal: true

module WorkShaper
  class Batches
    # A manager whose work is more than the user's block: only that has a time limit.
    class Pool < Manager
      # What failed is up to the framework, whatever the environment says.
      def initialize(**settings)
        super(attempts: 1, **settings)
      end

      public :limited

      private

      def limit_work(work)
        work
      end
    end

    private_constant :Pool
  end
end
