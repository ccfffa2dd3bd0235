# frozen_string_literal: true

module WorkShaper
  # Looks at the pools of database connections that ActiveRecord has, and connects nowhere.
  #
  # @private
  module ConnectionPools
    ROLES = %i[writing reading].freeze

    class << self
      # Says so in the log, in one line, when workers would have to wait for each other's connections.
      #
      # @param concurrency [Integer]
      def check(concurrency)
        small = Guard.run(->(_) { {} }) { sizes.select { |_, size| size && size < concurrency } }
        return if small.empty?

        SafeLog.warn(message: "There are fewer database connections than workers: set pool in config/database.yml to " \
                              "#{concurrency} or more, or concurrency to #{small.values.min} or less",
                     concurrency: concurrency, pools: small)
      end

      private

      # By the name of the database's configuration.
      def sizes
        return {} unless active_record?

        handler = ::ActiveRecord::Base.connection_handler
        pools = roles.flat_map { |role| handler.connection_pool_list(role) }.uniq
        pools.to_h { |pool| [pool.db_config.name, pool.size] }
      end

      # An application that has started may load it now; nobody else is made to.
      def active_record?
        return false unless defined?(::ActiveRecord::Base)

        !::ActiveRecord.autoload?(:Base) || (defined?(::Rails) && ::Rails.application&.initialized?)
      end

      # As the application calls them, from Rails 7.0 on.
      def roles
        return ROLES unless ::ActiveRecord.respond_to?(:writing_role)

        [::ActiveRecord.writing_role, ::ActiveRecord.reading_role]
      end
    end
  end

  private_constant :ConnectionPools
end
