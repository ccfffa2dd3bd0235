# frozen_string_literal: true

# Compaction of the heap where this Ruby and this platform have it.
module Compaction
  module_function

  def supported?
    return @supported if defined?(@supported)

    @supported = GC.respond_to?(:compact) && GC.respond_to?(:verify_compaction_references) && works?
  end

  # Some platforms have the methods, which then raise.
  def works?
    GC.compact
    true
  rescue NotImplementedError
    false
  end

  # See Clone::FOR_SPECS in tools/clone.rb.
  def start
    return unless supported? && ENV.key?("RUBY_GC_HEAP_FREE_SLOTS_MAX_RATIO")

    GC.auto_compact = true if GC.respond_to?(:auto_compact=)
    verify
  end

  # To be called again and again.
  def move
    GC.compact if supported?
  end

  # Once in a process, and nothing is to be compacted after it: it doubles the heap, the pages are given back
  # later, and Ruby 3.1 looks at stale slots of the threads' stacks, which may refer to such pages.
  # Moves every object that can be moved and checks that nothing refers to an old address. The keyword that
  # makes room for it was renamed in Ruby 3.2.
  def verify
    return unless supported?

    room = GC.method(:verify_compaction_references).parameters.map(&:last)
    keyword = room.include?(:expand_heap) ? :expand_heap : :double_heap
    GC.verify_compaction_references(toward: :empty, keyword => true)
  end
end
