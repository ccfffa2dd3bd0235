# frozen_string_literal: true

module WorkShaper
  # The version of the gem; in a clone, of the release to come.
  VERSION = "0.3.0"
end
