#include "foreign.h"

#include "entries.h"
#include "error.h"
#include "shared_object.h"

namespace trtdet {
namespace {

// The table with the library that it lies in.
struct Table {
  std::unique_ptr<SharedObject> object;
  const Entries& entries;

  void Check(trtdet_error* error) const {
    if (error == nullptr) return;
    const std::unique_ptr<trtdet_error, decltype(entries.error_free)> owned(error, entries.error_free);
    throw Error(entries.error_code(error), entries.error_message(error), entries.error_log(error));
  }
};

// A handle of the table's, freed by one of its entries.
template <typename T>
class Handle {
 public:
  Handle(std::shared_ptr<const Table> table, T* handle, void (*release)(T*))
      : table_(std::move(table)), handle_(handle), release_(release) {}
  ~Handle() { release_(handle_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  T* get() const { return handle_; }
  const Entries& entries() const { return table_->entries; }
  void Check(trtdet_error* error) const { table_->Check(error); }
  const std::shared_ptr<const Table>& table() const { return table_; }

 private:
  std::shared_ptr<const Table> table_;
  T* handle_;
  void (*release_)(T*);
};

// Hands a sink's lines over; the table's side calls release when it is done.
trtdet_logger LoggerOf(std::shared_ptr<LogSink> sink) {
  return {new std::shared_ptr<LogSink>(std::move(sink)),
          [](void* context, trtdet_severity severity, const char* message) {
            (*static_cast<std::shared_ptr<LogSink>*>(context))->Log(severity, message);
          },
          [](void* context) { delete static_cast<std::shared_ptr<LogSink>*>(context); }};
}

class ForeignPlan final : public Plan {
 public:
  ForeignPlan(const std::shared_ptr<const Table>& table, trtdet_plan* plan)
      : plan_(table, plan, table->entries.plan_free) {}
  Bytes Data() const override { return Take(plan_.entries().plan_data); }
  Bytes TimingCache() const override { return Take(plan_.entries().plan_timing_cache); }

 private:
  Bytes Take(const void* (*call)(const trtdet_plan*, std::size_t*)) const {
    Bytes bytes;
    bytes.data = call(plan_.get(), &bytes.size);
    return bytes;
  }

  Handle<trtdet_plan> plan_;
};

class ForeignNetwork final : public Network {
 public:
  ForeignNetwork(const std::shared_ptr<const Table>& table, trtdet_network* network)
      : network_(table, network, table->entries.network_free) {}

  int32_t TensorCount(trtdet_role role) const override {
    return network_.entries().network_tensor_count(network_.get(), role);
  }

  trtdet_tensor Tensor(trtdet_role role, int32_t index) const override {
    trtdet_tensor tensor{};
    network_.Check(network_.entries().network_tensor(network_.get(), role, index, &tensor));
    return tensor;
  }

  std::unique_ptr<Plan> Build(const BuildConfig& config, const Progress& progress) override {
    trtdet_config* made = nullptr;
    network_.Check(network_.entries().config_create(&made));
    const Handle<trtdet_config> to(network_.table(), made, network_.entries().config_free);
    Fill(config, to);
    const auto tell = [](void* context, const char* phase, const char* parent, int32_t step, int32_t steps,
                         int32_t done) -> int32_t {
      return (*static_cast<const Progress*>(context))(phase, parent, step, steps, done != 0) ? 1 : 0;
    };
    trtdet_plan* plan = nullptr;
    network_.Check(network_.entries().network_build(network_.get(), made, progress ? +tell : nullptr,
                                                    const_cast<Progress*>(&progress), &plan));
    return std::make_unique<ForeignPlan>(network_.table(), plan);
  }

 private:
  static void Fill(const BuildConfig& config, const Handle<trtdet_config>& to) {
    const Entries& entries = to.entries();
    int32_t number = 0;
    for (const auto& profile : config.profiles) {
      for (const auto& [input, range] : profile) {
        to.Check(entries.config_shape(to.get(), number, input.c_str(), static_cast<int32_t>(range.opt.size()),
                                      range.min.data(), range.opt.data(), range.max.data()));
      }
      ++number;
    }
    if (config.workspace_bytes) to.Check(entries.config_workspace(to.get(), *config.workspace_bytes));
    for (const int32_t target : config.targets) to.Check(entries.config_target(to.get(), target));
    if (config.timing_cache) {
      to.Check(entries.config_timing_cache(to.get(), config.timing_cache->data(), config.timing_cache->size()));
    }
    if (config.optimization_level) {
      to.Check(entries.config_optimization_level(to.get(), *config.optimization_level));
    }
  }

  Handle<trtdet_network> network_;
};

class ForeignBuilder final : public Builder {
 public:
  ForeignBuilder(const std::shared_ptr<const Table>& table, trtdet_builder* builder)
      : builder_(table, builder, table->entries.builder_free) {}

  std::unique_ptr<Network> Parse(const std::string& onnx_path) override {
    trtdet_network* network = nullptr;
    builder_.Check(builder_.entries().network_parse(builder_.get(), onnx_path.c_str(), &network));
    return std::make_unique<ForeignNetwork>(builder_.table(), network);
  }

 private:
  Handle<trtdet_builder> builder_;
};

class ForeignContext final : public Context {
 public:
  ForeignContext(const std::shared_ptr<const Table>& table, trtdet_context* context)
      : context_(table, context, table->entries.context_free) {}

  void SetShape(const std::string& input, const Shape& shape) override {
    context_.Check(context_.entries().context_set_shape(context_.get(), input.c_str(),
                                                        static_cast<int32_t>(shape.size()), shape.data()));
  }

  trtdet_tensor Tensor(trtdet_role role, int32_t index) const override {
    trtdet_tensor tensor{};
    context_.Check(context_.entries().context_tensor(context_.get(), role, index, &tensor));
    return tensor;
  }

  void SetAddress(const char* tensor, uint64_t address) override {
    context_.Check(context_.entries().context_set_address(context_.get(), tensor, address));
  }

  bool Capturable(uint64_t stream) const override {
    return context_.entries().context_capturable(context_.get(), stream) != 0;
  }

  void Enqueue(uint64_t stream) override { context_.Check(context_.entries().context_enqueue(context_.get(), stream)); }

 private:
  Handle<trtdet_context> context_;
};

class ForeignEngine final : public Engine {
 public:
  ForeignEngine(const std::shared_ptr<const Table>& table, trtdet_engine* engine)
      : engine_(table, engine, table->entries.engine_free) {}

  int32_t TensorCount(trtdet_role role) const override {
    return engine_.entries().engine_tensor_count(engine_.get(), role);
  }

  trtdet_tensor Tensor(trtdet_role role, int32_t index) const override {
    trtdet_tensor tensor{};
    engine_.Check(engine_.entries().engine_tensor(engine_.get(), role, index, &tensor));
    return tensor;
  }

  int32_t ProfileCount() const override { return engine_.entries().engine_profile_count(engine_.get()); }

  ShapeRange ProfileShape(int32_t profile, const std::string& input) const override {
    int64_t min[TRTDET_MAX_RANK];
    int64_t opt[TRTDET_MAX_RANK];
    int64_t max[TRTDET_MAX_RANK];
    engine_.Check(engine_.entries().engine_profile_shape(engine_.get(), profile, input.c_str(), min, opt, max));
    for (int32_t i = 0; i < TensorCount(TRTDET_INPUT); ++i) {
      const trtdet_tensor tensor = Tensor(TRTDET_INPUT, i);
      if (input == tensor.name) return {{min, min + tensor.rank}, {opt, opt + tensor.rank}, {max, max + tensor.rank}};
    }
    throw Error(TRTDET_INVALID, "the engine has no input " + input);
  }

  std::unique_ptr<Plan> Cache() const override {
    trtdet_plan* cache = nullptr;
    engine_.Check(engine_.entries().engine_cache(engine_.get(), &cache));
    return std::make_unique<ForeignPlan>(engine_.table(), cache);
  }

  int64_t MemorySize(int32_t profile) const override {
    return engine_.entries().engine_memory_size(engine_.get(), profile);
  }

  std::unique_ptr<Context> CreateContext(int32_t profile, uint64_t stream, Memory memory) override {
    trtdet_context* context = nullptr;
    engine_.Check(
        engine_.entries().context_create(engine_.get(), profile, stream, memory.address, memory.size, &context));
    return std::make_unique<ForeignContext>(engine_.table(), context);
  }

 private:
  Handle<trtdet_engine> engine_;
};

class ForeignLibrary final : public Library {
 public:
  ForeignLibrary(const std::shared_ptr<const Table>& table, trtdet_library* library)
      : library_(table, library, table->entries.library_free), version_(table->entries.library_version(library)) {}

  const std::string& Version() const override { return version_; }

  std::unique_ptr<Builder> CreateBuilder(std::shared_ptr<LogSink> log) override {
    const trtdet_logger logger = LoggerOf(std::move(log));
    trtdet_builder* builder = nullptr;
    library_.Check(library_.entries().builder_create(library_.get(), &logger, &builder));
    return std::make_unique<ForeignBuilder>(library_.table(), builder);
  }

  std::unique_ptr<Engine> LoadEngine(Bytes plan, Bytes cache, std::shared_ptr<LogSink> log) override {
    const trtdet_logger logger = LoggerOf(std::move(log));
    trtdet_engine* engine = nullptr;
    library_.Check(
        library_.entries().engine_load(library_.get(), &logger, plan.data, plan.size, cache.data, cache.size, &engine));
    return std::make_unique<ForeignEngine>(library_.table(), engine);
  }

 private:
  Handle<trtdet_library> library_;
  std::string version_;
};

}  // namespace

std::unique_ptr<Library> OpenForeign(trtdet_flavor flavor, const std::string& path, const std::string& parser_path) {
  auto object = std::make_unique<SharedObject>(path);
  const auto get = object->OptionalSymbol<GetEntries>(kGetEntries);
  if (get == nullptr) return nullptr;
  const Entries& entries = *get();
  if (entries.abi_version != TRTDET_ABI_VERSION) {
    throw Error(TRTDET_VERSION, path + " has version " + std::to_string(entries.abi_version) +
                                    " of the table of entries, not " + std::to_string(TRTDET_ABI_VERSION));
  }
  const std::shared_ptr<const Table> table(new Table{std::move(object), entries});
  trtdet_library* library = nullptr;
  table->Check(entries.library_open(flavor, path.c_str(), parser_path.c_str(), &library));
  return std::make_unique<ForeignLibrary>(table, library);
}

}  // namespace trtdet
