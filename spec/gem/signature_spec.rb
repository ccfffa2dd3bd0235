# frozen_string_literal: true

require "rbs"
require "rbs/test"
require "work_shaper/consumer"

# What sig/ says must be what is there: the same public methods with the same parameters, and what they return.
RSpec.describe "The signatures in sig/" do
  let(:builder) do
    loader = RBS::EnvironmentLoader.new
    loader.add(path: Pathname(File.expand_path("../../sig", __dir__)))
    RBS::DefinitionBuilder.new(env: RBS::Environment.from_loader(loader).resolve_type_names)
  end
  let(:signed_manager) { signed(builder.build_instance(RBS::TypeName.parse("::WorkShaper::Manager"))) }
  let(:signed_module) { signed(builder.build_singleton(RBS::TypeName.parse("::WorkShaper"))) }
  let(:shaper) { manager }

  # The public methods that our own signatures define, each with its type.
  def signed(definition)
    ours = definition.methods.select { |_, method| method.public? && method.defined_in.to_s.include?("WorkShaper") }
    ours.transform_values { |method| method.method_types.first.type }
  end

  # The count of positional parameters, the mandatory keywords and the optional ones.
  def shape_of_type(type)
    [type.required_positionals.size, type.optional_positionals.size, !type.rest_positionals.nil?,
     type.required_keywords.keys.sort, type.optional_keywords.keys.sort, !type.rest_keywords.nil?]
  end

  def shape_of_method(method)
    kinds = method.parameters.group_by(&:first).transform_values { |parameters| parameters.map(&:last) }
    [kinds.fetch(:req, []).size, kinds.fetch(:opt, []).size, kinds.key?(:rest),
     kinds.fetch(:keyreq, []).sort, kinds.fetch(:key, []).sort, kinds.key?(:keyrest)]
  end

  # A native method that takes keywords does not tell of them; whether it takes these shows when it is called.
  def native_with_keywords?(method)
    method.source_location.nil? && method.arity == -1
  end

  def expect_same_shape(method, type)
    expect(shape_of_method(method)).to eq(shape_of_type(type)), -> { "#{method.inspect} is not #{type}" }
  end

  it "name the public methods of the manager, no more and no less" do
    there = WorkShaper::Manager.public_instance_methods - Object.public_instance_methods
    expect(there).to match_array(signed_manager.keys)
  end

  [WorkShaper::Consumer, WorkShaper::Message, WorkShaper::Batches, WorkShaper::Histogram, WorkShaper::Failures,
   WorkShaper::Stream, WorkShaper::Stream::Current, WorkShaper::LoadTest::Report, WorkShaper::Testing::Work,
   WorkShaper::Testing::Result, WorkShaper::Testing::Clock, WorkShaper::Testing::Session].each do |described|
    it "name the public methods of #{described}, with their parameters" do
      methods = signed(builder.build_instance(RBS::TypeName.parse("::#{described}")))
      expect(described.public_instance_methods(false)).to match_array(methods.keys)
      methods.each { |name, type| expect_same_shape(described.instance_method(name), type) }
    end
  end

  it "name the public methods of a rate, with their keywords" do
    methods = signed(builder.build_instance(RBS::TypeName.parse("::WorkShaper::Rate")))
    rate = WorkShaper::Rate.new(1, per: 1, burst: 1)
    expect(WorkShaper::Rate.public_instance_methods(false)).to match_array(methods.keys)
    methods.except(:acquire).each { |name, type| expect_same_shape(rate.method(name), type) }
    expect(rate.acquire(1, timeout: 1)).to be(true)
  end

  it "have the keywords of a consumer" do
    type = builder.build_instance(RBS::TypeName.parse("::WorkShaper::Consumer")).methods.fetch(:initialize)
                  .method_types.first.type
    taken = WorkShaper::Consumer.instance_method(:initialize).parameters.group_by(&:first)
    options = WorkShaper::Consumer.const_get(:Options)
    settings = options::MANAGER + options::OWN.keys + WorkShaper.const_get(:RetryPolicy)::WORDS
    expect(type.required_keywords.keys).to match_array(taken.fetch(:keyreq).map(&:last))
    expect(type.optional_keywords.keys).to match_array(taken.fetch(:key).map(&:last) + settings)
  end

  it "name the methods of the module, no more and no less" do
    expect(WorkShaper.singleton_methods(false)).to match_array(signed_module.keys)
  end

  it "name the public constants, no more and no less" do
    env = builder.env
    names = (env.class_decls.keys + env.constant_decls.keys).map(&:to_s)
    signed = names.filter_map { |name| name[/\A::WorkShaper::(\w+)\z/, 1] }
    expect(WorkShaper.constants.map(&:to_s)).to match_array(signed)
  end

  it "have the parameters of the methods" do
    methods = signed_manager.map { |name, type| [WorkShaper::Manager.instance_method(name), type] } +
              signed_module.map { |name, type| [WorkShaper.method(name), type] }
    methods.reject { |method, _| native_with_keywords?(method) }.each { |method, type| expect_same_shape(method, type) }
  end

  it "have the keywords of the native methods" do
    values = { timeout: 1, safe: true }
    arguments = [:sub_key, :message, 0, 0]
    signed_manager.select { |name, _| native_with_keywords?(shaper.method(name)) }.each do |name, type|
      positional = arguments.first(type.required_positionals.size)
      keywords = type.optional_keywords.to_h { |keyword, _| [keyword, values.fetch(keyword)] }
      expect { shaper.public_send(name, *positional, **keywords) }.not_to raise_error
      expect { shaper.public_send(name, *positional, **keywords, another: 1) }.to raise_error(ArgumentError)
      expect { shaper.public_send(name, *positional, :one_more, **keywords) }.to raise_error(ArgumentError)
    end
  end

  it "have the settings of a manager" do
    definition = builder.build_instance(RBS::TypeName.parse("::WorkShaper::Manager"))
    type = definition.methods.fetch(:initialize).method_types.first.type
    settings = WorkShaper.const_get(:Settings).resolve({}, {}).keys
    settings += WorkShaper.const_get(:RetryPolicy)::WORDS - [:dead_letter_topics]
    expect(type.required_keywords.keys).to contain_exactly(:work, :ack)
    expect(type.optional_keywords.keys).to match_array(settings + %i[on_done on_error])
  end

  it "have the fields of stats, no more and no less" do
    fields = lambda do |name|
      builder.expand_alias2(RBS::TypeName.parse("::WorkShaper::#{name}"), []).fields.keys
    end
    shaper.enqueue(:key, :message, 0, 0)
    expect(shaper.stats.keys).to match_array(fields.call(:stats))
    expect(shaper.stats[:partitions][0].keys).to match_array(fields.call(:partition_stats))
  end

  it "have what the methods return" do
    check = RBS::Test::TypeCheck.new(self_class: WorkShaper::Manager, builder: builder, sample_size: 100,
                                     unchecked_classes: [], instance_class: WorkShaper::Manager, class_class: Class)
    returned = { enqueue: shaper.enqueue(:key, :message, 0, 0), try_enqueue: shaper.try_enqueue(:key, :message, 0, 1),
                 await: shaper.await(0), drain: shaper.drain, flush: shaper.flush, stats: shaper.stats,
                 report: shaper.report,
                 revoke: shaper.revoke(0), total_enqueued: shaper.total_enqueued, total_acked: shaper.total_acked,
                 shutting_down: shaper.shutting_down, shutting_down?: shaper.shutting_down?,
                 request_shutdown: shaper.request_shutdown, shutdown: shaper.shutdown }
    expect(returned.keys).to match_array(signed_manager.keys)
    returned.each do |name, value|
      type = signed_manager.fetch(name).return_type
      expect(check.value(value, type)).to be(true), "#{name} returned #{value.inspect}, which is no #{type}"
    end
  end
end
