# frozen_string_literal: true

require "fileutils"
require "open3"
require "rbconfig"
require "tmpdir"

# A C extension with exceptions whose objects it allocates itself, compiled when it is first asked for.
module NativeErrors
  SOURCE = <<~C
    #include <ruby.h>

    static const rb_data_type_t type = {"native error", {NULL, NULL, NULL}, NULL, NULL, 0};

    static VALUE allocate(VALUE klass) {
        return rb_data_typed_object_wrap(klass, NULL, &type);
    }

    void Init_native_errors(void) {
        rb_define_alloc_func(rb_define_class("NativeError", rb_eStandardError), allocate);
        rb_define_alloc_func(rb_define_class("NativeException", rb_eException), allocate);
    }
  C
  COMMANDS = [[RbConfig.ruby, "extconf.rb"], ["make"]].freeze
  private_constant :SOURCE, :COMMANDS

  class << self
    # What to require.
    def path
      File.join(@directory ||= build, "native_errors")
    end

    def clean_up
      FileUtils.remove_entry(@directory) if @directory
      @directory = nil
    end

    private

    def build
      directory = Dir.mktmpdir("work_shaper-native-errors")
      File.write(File.join(directory, "native_errors.c"), SOURCE)
      File.write(File.join(directory, "extconf.rb"), %(require "mkmf"\ncreate_makefile("native_errors")\n))
      COMMANDS.each do |command|
        words, status = Open3.capture2e({ "RUBYOPT" => nil, "RUBYLIB" => nil }, *command, chdir: directory)
        raise "#{command.join(" ")} failed:\n#{words}" unless status.success?
      end
      directory
    end
  end
end

RSpec.configure { |config| config.after(:suite) { NativeErrors.clean_up } }
