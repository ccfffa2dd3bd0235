# frozen_string_literal: true

require_relative "requirements"

begin
  Requirements.new.check
rescue Requirements::Missing => e
  abort "work_shaper: #{e.message}"
end

require "mkmf"

rooms = %w[core ruby manager stream kafka]
$VPATH.concat(rooms.map { |room| "$(srcdir)/#{room}" }) # rubocop:disable Style/GlobalVars
$srcs = Dir[File.join(__dir__, "{.,#{rooms.join(",")}}", "*.c")].map { |path| File.basename(path) } # rubocop:disable Style/GlobalVars

append_cflags(%w[-std=gnu11 -fvisibility=hidden -Wno-declaration-after-statement])

# A message passes through many small files: inlining across them saves a tenth of the time.
if !ENV["WORK_SHAPER_SANITIZE"] && try_link("int main(void) { return 0; }", "-flto")
  $CFLAGS << " -flto" # rubocop:disable Style/GlobalVars
  $LDFLAGS << " -flto" # rubocop:disable Style/GlobalVars
end

# The Rubies of rake-compiler-dock were made with -O1, which a precompiled gem would inherit. Ruby's default is -O3.
append_cflags("-O3") if enable_config("cross-build")

# For those who work on the gem; users build without either. Last on the line, since mkmf's own -Wno-... come before;
# the unused parameters are in Ruby's headers.
if ENV["WORK_SHAPER_WERROR"]
  $warnflags = "#{$warnflags} -Wall -Wextra -Wno-unused-parameter -Werror" # rubocop:disable Style/GlobalVars
end
if (sanitizer = ENV.fetch("WORK_SHAPER_SANITIZE", nil))
  flags = " -fsanitize=#{sanitizer} -fno-omit-frame-pointer -g -O1"
  $CFLAGS << flags # rubocop:disable Style/GlobalVars
  $LDFLAGS << flags # rubocop:disable Style/GlobalVars
  # Ruby unwinds with a longjmp that AddressSanitizer does not see: it would take old frames' marks for overflows.
  ["--param asan-stack=0", "-mllvm -asan-stack=0"].any? { |flag| append_cflags(flag) } if sanitizer == "address"
end

have_func("pthread_atfork", "pthread.h")
have_func("malloc_trim", "malloc.h")

create_makefile("work_shaper/work_shaper")
