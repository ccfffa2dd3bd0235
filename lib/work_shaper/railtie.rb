# frozen_string_literal: true

module WorkShaper
  # In a Rails application: the log goes to that of Rails, unless {WorkShaper.logger=} was called.
  #
  # @example config/application.rb: events as lines of the log, see {LogSubscriber}
  #   config.work_shaper.log_events = true
  class Railtie < ::Rails::Railtie
    config.work_shaper = ::ActiveSupport::OrderedOptions.new

    initializer("work_shaper.logger", after: :initialize_logger) do
      WorkShaper.logger = ::Rails.logger unless WorkShaper.instance_variable_get(:@logger) # which would make one
    end

    initializer("work_shaper.log_events", after: :load_config_initializers) do |app|
      require "work_shaper/log_subscriber" if app.config.work_shaper.log_events
    end
  end
end
