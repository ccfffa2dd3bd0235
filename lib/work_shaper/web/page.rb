# frozen_string_literal: true

require "digest"

module WorkShaper
  class Web
    # The page and what belongs to it, out of the folder assets/.
    #
    # @private
    module Page
      FOLDER = File.join(__dir__, "assets")
      TYPES = { ".html" => "text/html; charset=utf-8", ".css" => "text/css; charset=utf-8", ".svg" => "image/svg+xml",
                ".js" => "text/javascript; charset=utf-8" }.freeze

      # Nothing comes from elsewhere, nothing is written into the page as markup, and no other site may frame it.
      POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " \
               "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; " \
               "trusted-types 'none'"
      HEADERS = { "content-security-policy" => POLICY, "x-content-type-options" => "nosniff",
                  "referrer-policy" => "no-referrer", "x-frame-options" => "DENY" }.freeze

      FILES = Dir[File.join(FOLDER, "**", "*{#{TYPES.keys.join(",")}}")].to_h do |file|
        [file.delete_prefix(FOLDER), File.read(file, encoding: Encoding::UTF_8).freeze]
      end.freeze
      ETAGS = FILES.transform_values { |text| "\"#{Digest::SHA256.hexdigest(text)[0, 32]}\"".freeze }.freeze
      START = "/index.html"

      # What a path may not hold as it is. (Some servers decode paths, others do not.)
      STRANGE = %r{%(?!\h\h)|[^\w\-.~!$()*+,;=:@%/]}n
      private_constant :FOLDER, :TYPES, :POLICY, :FILES, :ETAGS, :START, :STRANGE

      class << self
        # What there is at a path, or nil. A browser asks each time whether it has changed, so that a page never meets
        # the scripts of another version.
        #
        # @param path [String]
        # @param known [String, nil] what the browser has (If-None-Match)
        # @return [Array(Integer, Hash, Array<String>), nil]
        def file(path, known)
          return if path == START || !FILES.key?(path)

          headers = { **HEADERS, "cache-control" => "no-cache", "etag" => ETAGS[path] }
          return [304, headers, []] if known == ETAGS[path]

          [200, { **headers, "content-type" => TYPES.fetch(File.extname(path)) }, [FILES[path]]]
        end

        # @param mounted_at [String] SCRIPT_NAME
        # @return [Array(Integer, Hash, Array<String>)]
        def start(mounted_at)
          html = FILES.fetch(START).gsub("{base}") { base(mounted_at) }
          [200, { **HEADERS, "cache-control" => "no-store", "content-type" => TYPES.fetch(".html") }, [html]]
        end

        private

        # Where everything else is. A router may call it for /mounted and for /mounted/, so this is absolute there;
        # otherwise it is relative, for a proxy may show it elsewhere.
        def base(mounted_at)
          path = mounted_at.b.squeeze("/").delete_prefix("/").delete_suffix("/")
          path.empty? ? "" : "/#{path.gsub(STRANGE) { |byte| format("%%%02X", byte.ord) }}/"
        end
      end
    end

    private_constant :Page
  end
end
