# frozen_string_literal: true

# What only an application in development does: code that changes, and the generator.
module Development
  MAIN = TOPLEVEL_BINDING.receiver
  WORKED = Queue.new
  GATE = Queue.new

  class << self
    # Before the application is initialized, which looks for files then.
    def generated
      ENV["BOOTSTRAP_SERVERS"] = MAIN.mock.bootstrap_servers
      { refused: refused, made: made, again: again, destroyed: destroyed }
    end

    # Inside the executor, as `rails runner` is. At last some work takes long, code changes, and a stop is asked for.
    def run
      MAIN.mock.create_topic("refunds", partitions: 1)
      change("one")
      consumer = RefundsConsumer.consumer(**settings)
      running = Thread.new { Shop.executor.wrap { consumer.run } }
      reloaded = %w[two three].map { |version| work_with(version) }
      produce("long")
      MAIN.wait_until("long work") { GATE.num_waiting == 1 }
      blocked = behind_long_work(consumer)
      consumer.stop
      stopped = MAIN.ended(running, 30).value
      GATE.close
      MAIN.no_threads_left
      { reloaded: reloaded, blocked: blocked, stopped: stopped, tested: tested }
    end

    private

    def generate(*arguments, behavior: :invoke)
      out = StringIO.new
      before = [$stdout, $stderr]
      $stdout = $stderr = out
      Rails::Generators.invoke("work_shaper:consumer", arguments, behavior: behavior, destination_root: Dir.pwd)
      out.string
    rescue Thor::Error => e
      e.message
    ensure
      $stdout, $stderr = before
    end

    def files
      Dir["{app,config,spec,test}/**/*.rb"].to_h { |name| [name, File.read(name)] }
    end

    def refused
      [%w[1orders], %w[or-ders!], ["orders", "--topic", "a b"], ["orders", "--group", " "]]
        .map { |arguments| generate(*arguments) } << files.keys
    end

    def made
      generate("refunds", "--group", "returns")
      generate("billing/invoices_consumer", "--topic", "invoices.v2")
      files.each { |name, text| RubyVM::InstructionSequence.compile(text, name) }
    end

    # What somebody has written stays, and nothing is there twice.
    def again
      File.write("app/consumers/refunds_consumer.rb", "# mine\n", mode: "a")
      before = files
      2.times { generate("refunds") }
      files == before
    end

    def destroyed
      before = files
      FileUtils.mkdir_p("spec")
      generate("billing/letters")
      more = files.keys - before.keys
      generate("billing/letters", behavior: :revoke)
      FileUtils.rm_r("spec")
      { more: more, left: files == before }
    end

    # The test that was generated.
    def tested
      require "active_support/test_case"
      FileUtils.touch("test_helper.rb")
      $LOAD_PATH.unshift(Dir.pwd)
      load "test/consumers/billing/invoices_consumer_test.rb"
      test = Billing::InvoicesConsumerTest.new("test_works_on_a_message").run
      test.failures.map(&:message) << test.assertions
    end

    def settings
      { config: Cases.config("refunds"), signals: false, shutdown_timeout: 1, concurrency: 5 }
    end

    def produce(*payloads)
      MAIN.mock.produce("refunds", payloads.map { |payload| [0, payload, payload] })
    end

    # Rails looks at the time of the newest file.
    def change(version)
      file = "app/consumers/refunds_consumer.rb"
      body = "Development::GATE.pop if message.payload == \"long\"\n    Development::WORKED << \"#{version}\""
      text = File.read(file)
      newest = Dir["app/**/*.rb"].map { |name| File.mtime(name) }.max
      MAIN.wait_until("a newer file") do
        File.write("new", text.sub(/(?<=def call\(message\)\n).*?(?=\n  end)/m, "    #{body}"))
        File.mtime("new") > newest
      end
      File.rename("new", file) # at once: somebody may be reading it
    end

    def work_with(version)
      change(version)
      produce(version)
      WORKED.pop
    end

    # What comes now waits until the long work is over: it would run old code.
    def behind_long_work(consumer)
      change("four")
      produce("x", "y")
      MAIN.wait_until("workers that wait") { consumer.running.size == 3 }
      WORKED.size
    end
  end
end
