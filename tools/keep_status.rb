# frozen_string_literal: true

# Writes into the file `status` whether a program succeeded. A sanitizer changes the exit status when a comparison
# inside sort has raised: it watches qsort, out of which Ruby jumps.

require "English"

process = Process.pid
at_exit do
  error = $ERROR_INFO
  failed = error && !(error.is_a?(SystemExit) && error.success?)
  File.write("status", failed ? "failed" : "ok") if Process.pid == process
end
