# frozen_string_literal: true

# Fails when YARD warns, or when a public class, module, constant or method has no documentation. The loaded library is
# asked what is public, since YARD does not see everything that C code defines.

require "stringio"
require "yard"

root = File.expand_path("..", __dir__)
$LOAD_PATH.unshift(File.join(root, "lib"))
require "work_shaper"
require "work_shaper/consumer"

# Nil for what needs a gem that is not in the bundle: of that, YARD reads all there is.
def value_of(mod, name)
  mod.const_get(name)
rescue LoadError
  nil
end

# The names of everything public below a module, as YARD writes them.
def public_names(mod)
  constants = mod.constants(false).map { |name| ["#{mod}::#{name}", value_of(mod, name)] }
  methods = mod.singleton_methods(false).map { |name| "#{mod}.#{name}" } +
            mod.public_instance_methods(false).map { |name| "#{mod}##{name}" }
  [mod.name] + methods + constants.flat_map { |name, value| value.is_a?(Module) ? public_names(value) : [name] }
end

Dir.chdir(root)
said = StringIO.new
YARD::Logger.instance.io = said
YARD::CLI::Stats.run("--list-undoc", "--no-save", "--no-cache")

missing = public_names(WorkShaper).reject { |name| (found = YARD::Registry.at(name)) && !found.docstring.blank? }
missing.each { |name| puts "no documentation: #{name}" }
puts said.string
exit missing.empty? && said.string.include?("100.00% documented") && !said.string.include?("[warn]")
