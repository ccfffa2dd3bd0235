# frozen_string_literal: true

# For those who want streams only; it is all one gem.
require_relative "../work_shaper"
