# frozen_string_literal: true

require "rails/generators/named_base"

module WorkShaper
  # What `rails generate` finds.
  module Generators
    # Makes a consumer: the class that works on messages, its line in config/work_shaper.rb, and a test. What is there
    # already stays as it is.
    #
    # @example
    #   rails generate work_shaper:consumer orders --topic orders.v2 --group shop
    class ConsumerGenerator < ::Rails::Generators::NamedBase
      CONFIG = "config/work_shaper.rb"
      CLASS = /\A[A-Z]\w*(::[A-Z]\w*)*\z/
      TOPIC = /\A(\^.+|[A-Za-z0-9._-]{1,249})\z/ # a pattern, or what Kafka accepts
      private_constant :CONFIG, :CLASS, :TOPIC

      source_root File.expand_path("templates", __dir__)
      desc "Makes app/consumers/NAME_consumer.rb, its line in #{CONFIG}, and a test."
      class_option :topic, type: :string, desc: "The topic that it consumes, or a \"^pattern\" (default: NAME)"
      class_option :group, type: :string, desc: "Its consumer group (default: the application's name, and NAME)"

      # @!visibility private
      def check
        unless CLASS.match?(class_name)
          raise Thor::Error, "NAME is #{name.inspect}; it must make the name of a class, as orders does"
        end
        unless TOPIC.match?(topic)
          raise Thor::Error, "--topic is #{topic.inspect}; it must be a topic's name, or a \"^pattern\""
        end
        raise Thor::Error, "--group is empty; it must name the consumer group" if group.strip.empty?
      end

      # @!visibility private
      def create_consumer
        template("consumer.rb.tt", "app/consumers/#{file_path}_consumer.rb", skip: true)
      end

      # @!visibility private
      def add_to_config
        file = File.join(destination_root, CONFIG)
        template("work_shaper.rb.tt", CONFIG) unless behavior == :revoke || File.exist?(file)
        append_to_file(CONFIG, "\n#{consumer_class}.consumer\n") if File.exist?(file)
        remove_file(CONFIG) if behavior == :revoke && File.exist?(file) && File.read(file) == empty_config
      end

      # @!visibility private
      def create_test
        kind, folder = File.directory?(File.join(destination_root, "spec")) ? %w[spec spec] : %w[test test]
        template("consumer_#{kind}.rb.tt", "#{folder}/consumers/#{file_path}_consumer_#{kind}.rb", skip: true)
      end

      private

      # Of Orders and OrdersConsumer the same.
      def file_name
        super.sub(/_consumer\z/i, "")
      end

      def consumer_class
        "#{class_name}Consumer"
      end

      def topic
        options[:topic] || file_name
      end

      def group
        options[:group] || "#{application_name}-#{file_name}"
      end

      def empty_config
        File.read(File.join(self.class.source_root, "work_shaper.rb.tt"))
      end
    end
  end
end
