# frozen_string_literal: true

module WorkShaper
  # Where the default logger writes: standard output, whatever $stdout is at that moment (a test may have replaced it),
  # and at once. Into a pipe Ruby would gather some kilobytes first, which a kill takes along.
  #
  # What the rest of the process prints is gathered as ever. And nothing of ours stays in Ruby's buffer when nobody
  # reads the pipe: at its end the process would wait until that buffer is empty.
  #
  # @private
  class StandardOutput
    DESCRIPTOR = 1
    private_constant :DESCRIPTOR

    def write(line)
      out = $stdout
      out.flush if out.respond_to?(:flush) # what was printed before comes first
      return unbuffered.write(line) if out.is_a?(IO) && out.fileno == DESCRIPTOR

      out.write(line)
      out.flush if out.respond_to?(:flush)
    end

    # It is not ours.
    def close; end

    private

    # Another way to the same file, wherever that is reopened to.
    def unbuffered
      @unbuffered ||= IO.for_fd(DESCRIPTOR, autoclose: false).tap { |io| io.sync = true }
    end
  end

  private_constant :StandardOutput
end
