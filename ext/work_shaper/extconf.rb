# frozen_string_literal: true

require "mkmf"

$VPATH << "$(srcdir)/core" # rubocop:disable Style/GlobalVars
$srcs = Dir[File.join(__dir__, "{,core/}*.c")].map { |path| File.basename(path) } # rubocop:disable Style/GlobalVars

append_cflags(%w[-std=gnu11 -fvisibility=hidden -Wno-declaration-after-statement])

# For those who work on the gem; users build without either.
append_cflags(%w[-Wall -Wextra -Werror -Wno-unused-parameter]) if ENV["WORK_SHAPER_WERROR"]
if (sanitizer = ENV.fetch("WORK_SHAPER_SANITIZE", nil))
  flags = " -fsanitize=#{sanitizer} -fno-omit-frame-pointer -g -O1"
  $CFLAGS << flags # rubocop:disable Style/GlobalVars
  $LDFLAGS << flags # rubocop:disable Style/GlobalVars
  # Ruby unwinds with a longjmp that AddressSanitizer does not see: it would take old frames' marks for overflows.
  ["--param asan-stack=0", "-mllvm -asan-stack=0"].any? { |flag| append_cflags(flag) } if sanitizer == "address"
end

abort "work_shaper needs POSIX threads (pthread.h)." unless have_header("pthread.h")
have_func("pthread_condattr_setclock", "pthread.h")
have_func("pthread_cond_timedwait_relative_np", "pthread.h")
have_func("pthread_atfork", "pthread.h")

create_makefile("work_shaper/work_shaper")
