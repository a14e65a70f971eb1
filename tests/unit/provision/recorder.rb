# Stands in for Vagrant: evaluates the Vagrantfile for one provider and prints what it decided, as JSON.
#   ruby recorder.rb PROVIDER VAGRANTFILE [up]
require "json"

# Remembers each assignment, and each call with its arguments; blocks are called with the recorder itself.
class Recorder
  attr_reader :made

  def initialize
    @made = {}
  end

  def method_missing(name, *arguments, **options)
    key = name.to_s.chomp("=")
    return @made[key] ||= Recorder.new if arguments.empty? && options.empty?

    given = options.empty? ? arguments : [*arguments, options]
    name.end_with?("=") ? @made[key] = arguments.first : (@made[key] ||= []) << given
  end

  def respond_to_missing?(*)
    true
  end

  def []=(key, value)
    @made[key] = value
  end

  def to_json(*)
    @made.to_json
  end
end

# config.vm: keeps the machines, and evaluates the blocks of the one provider that is asked for.
class Machine < Recorder
  def define(name, **)
    node = Recorder.new
    machine = Machine.new
    node.made["vm"] = machine
    yield node
    (made["machines"] ||= {})[name] = node
  end

  def provider(name)
    return unless name.to_s == PROVIDER

    override = Recorder.new
    override.made["vm"] = self
    yield(made[PROVIDER] ||= Recorder.new, override)
    made["ssh"] = override.made["ssh"] if override.made["ssh"]
  end
end

PROVIDER, VAGRANTFILE, *WORDS = ARGV
ARGV.replace(WORDS)
ENV["VAGRANT_DEFAULT_PROVIDER"] = PROVIDER
CONFIG = Recorder.new
CONFIG.made["vm"] = Machine.new

# What the Vagrantfile calls.
module Vagrant
  def self.configure(_version)
    yield CONFIG
  end
end

load VAGRANTFILE
puts CONFIG.to_json
