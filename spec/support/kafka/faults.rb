# frozen_string_literal: true

# What fails in the work of a member, and how; part of member.rb.
class Faults
  # What such work raises; with a cause.
  class Broken < StandardError
  end

  TIMES = 2

  # `for_ever_every`: each message whose id can be divided by that, always; `for_ever_keys`: all of these keys;
  # `twice_every`: each whose id is one more than what can be divided by that, as often as TIMES. `text_bytes` and
  # `backtrace_bytes` of what is raised: no compression makes them shorter.
  def initialize(twice_every: nil, for_ever_every: nil, for_ever_keys: [], text_bytes: 0, backtrace_bytes: nil)
    @twice_every = twice_every
    @for_ever_every = for_ever_every
    @for_ever_keys = for_ever_keys
    @text_bytes = text_bytes
    @backtrace_bytes = backtrace_bytes
    @lock = Mutex.new
    @times = Hash.new(0)
  end

  def call(message)
    id = message.payload.to_i
    raise_broken("for ever") if every?(@for_ever_every, id, 0) || @for_ever_keys.include?(message.key)
    raise_broken("twice") if every?(@twice_every, id, 1) && again?(message.id)
  end

  private

  def every?(number, id, remainder)
    number && id % number == remainder
  end

  def again?(id)
    @lock.synchronize { (@times[id] += 1) <= TIMES }
  end

  def raise_broken(how)
    raise KeyError, "no entry"
  rescue KeyError
    text = "fails #{how}"
    text = "#{text} #{noise(@text_bytes)}" if @text_bytes.positive?
    raise Broken, text, *@backtrace_bytes&.then { |bytes| [Array.new(10) { noise(bytes / 10) }] }
  end

  def noise(bytes)
    Array.new(bytes) { rand(33..126).chr }.join
  end
end
