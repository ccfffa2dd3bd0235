# frozen_string_literal: true

module WorkShaper
  # A thread of ours. What it inherits from whoever happens to start it, a priority and an interrupt mask, is not meant
  # for it.
  #
  # @private
  module OwnThread
    # @param name [String]
    # @param at_end [#call, nil] is called last, even when the thread is killed, with the mask of who has started it
    # @yield on the thread
    # @return [Thread]
    # @raise [ThreadError] there can be no more
    def self.start(name, at_end = nil, &work)
      Thread.new do
        Thread.current.name = name
        Thread.current.priority = 0
        Thread.handle_interrupt(Object => :immediate, &work)
      ensure
        at_end&.call
      end
    end
  end

  private_constant :OwnThread
end
