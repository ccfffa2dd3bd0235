# frozen_string_literal: true

module WorkShaper
  module OpenTelemetry
    # Reads a message's headers for propagators: their getter.
    #
    # @private
    module Headers
      class << self
        # Whoever sends a message on adds a header behind those that are there: the last one counts. What propagators
        # read is ASCII; other bytes are somebody else's.
        #
        # @param headers [Hash{String => String, nil, Array<String, nil>}]
        # @param name [String]
        # @return [String, nil]
        def get(headers, name)
          value = headers[name]
          value = value.last if value.is_a?(Array)
          value.encode(Encoding::UTF_8) if value&.ascii_only?
        end

        # @param headers [Hash{String => Object}]
        # @return [Array<String>]
        def keys(headers)
          headers.keys
        end
      end
    end

    private_constant :Headers
  end
end
