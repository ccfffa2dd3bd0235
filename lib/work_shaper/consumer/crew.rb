# frozen_string_literal: true

module WorkShaper
  class Consumer
    # A manager whose feeder is the poll loop: it sees to the limits itself, and waits only as long as it says.
    class Crew < Manager
      public :feed, :room, :await_room, :expect, :drop_waiting, :wind_down, :fatal
    end

    private_constant :Crew
  end
end
