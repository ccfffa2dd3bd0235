# frozen_string_literal: true

desc "Chaos on a real Kafka for each protocol: chaos[minutes,protocol,seed]; without them 20 minutes for each of three"
task :chaos, %i[minutes protocol seed] => :compile do |_, arguments|
  environment = { "CHAOS_MINUTES" => arguments.fetch(:minutes, "20"),
                  "CHAOS_PROTOCOL" => arguments.fetch(:protocol, "eager,cooperative,consumer"),
                  "CHAOS_SEED" => arguments[:seed] }
  sh(Clone::FOR_SPECS.merge(environment), RbConfig.ruby, "-S", "rspec", "spec/kafka/chaos_spec.rb", verbose: false)
end
