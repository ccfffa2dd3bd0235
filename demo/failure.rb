# frozen_string_literal: true

module Demo
  # The demo cannot continue; the message is all there is to say.
  class Failure < StandardError; end
end
