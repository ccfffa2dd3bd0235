# frozen_string_literal: true

module WorkShaper
  class Consumer
    # librdkafka's callback for a new token for SASL/OAUTHBEARER. It comes inside the constructor of a client, and
    # inside take before a token expires.
    #
    # @private
    class OauthToken
      # For {ClientConfig}.
      #
      # @param source [#call, nil] nil: rdkafka's own callback stays in place
      # @return [Hash{Symbol => OauthToken}]
      def self.callbacks(source)
        source ? { oauthbearer_token_refresh: new(source) } : {}
      end

      # @param source [#call] returns a Hash of what {#set} takes
      def initialize(source)
        @source = source
      end

      # @param native [FFI::Pointer] the client's handle
      def call(native, _config, _opaque)
        set(native, **@source.call)
      rescue StandardError => e
        # librdkafka reports it, and asks again after ten seconds.
        Client.call(:int, "oauthbearer_set_token_failure", native, text("oauth_token: #{e.class}: #{e.message}"))
      end

      private

      def set(native, token:, lifetime_ms:, principal_name:, extensions: {})
        error = FFI::MemoryPointer.new(:char, 512)
        texts = extensions.flatten.map { |part| text(part.to_s) }
        pairs = FFI::MemoryPointer.new(:pointer, texts.size + 1).write_array_of_pointer(texts)
        code = Rdkafka::Bindings.rd_kafka_oauthbearer_set_token(native, token, Integer(lifetime_ms), principal_name,
                                                                pairs, texts.size, error, error.size)
        raise ArgumentError, error.read_string unless code.zero?
      end

      def text(string)
        FFI::MemoryPointer.from_string(string)
      end
    end

    private_constant :OauthToken
  end
end
