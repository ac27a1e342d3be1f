#include "session.h"

#include <dlfcn.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>

namespace simgpu {
namespace {

const OrtApi& Api() {
  static const OrtApi* const api = []() -> const OrtApi* {
    const char* const named = getenv("TRTDET_ONNXRUNTIME");
    const std::string path = named != nullptr && *named != '\0' ? named : SIMGPU_ONNXRUNTIME;
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
      throw std::runtime_error(std::string("the simulated TensorRT runs on ONNX Runtime: ") + dlerror());
    const auto base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"));
    return base()->GetApi(ORT_API_VERSION);
  }();
  return *api;
}

void Check(OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = Api().GetErrorMessage(status);
  Api().ReleaseStatus(status);
  throw std::runtime_error("ONNX Runtime: " + message);
}

const OrtEnv* Environment() {
  static OrtEnv* const environment = [] {
    OrtEnv* made = nullptr;
    Check(Api().CreateEnv(ORT_LOGGING_LEVEL_FATAL, "simgpu", &made));
    Check(Api().DisableTelemetryEvents(made));
    return made;
  }();
  return environment;
}

OrtAllocator* Allocator() {
  OrtAllocator* allocator = nullptr;
  Check(Api().GetAllocatorWithDefaultOptions(&allocator));
  return allocator;
}

// A text that ONNX Runtime allocated.
std::string Take(char* text) {
  std::string copy = text == nullptr ? "" : text;
  if (text != nullptr) Check(Api().AllocatorFree(Allocator(), text));
  return copy;
}

using Value = std::unique_ptr<OrtValue, void (*)(OrtValue*)>;

Value Owned(OrtValue* value) { return {value, Api().ReleaseValue}; }

}  // namespace

Session::Session(const std::string& onnx, Use use) {
  OrtSessionOptions* options = nullptr;
  Check(Api().CreateSessionOptions(&options));
  const std::unique_ptr<OrtSessionOptions, void (*)(OrtSessionOptions*)> owned(options, Api().ReleaseSessionOptions);
  Check(Api().SetIntraOpNumThreads(options, 1));
  if (use == Use::kDescribe) Check(Api().SetSessionGraphOptimizationLevel(options, ORT_DISABLE_ALL));
  Check(Api().CreateSessionFromArray(Environment(), onnx.data(), onnx.size(), options, &session_));
  Check(Api().CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &host_));
  inputs_ = Describe(true);
  outputs_ = Describe(false);
}

Session::~Session() {
  Api().ReleaseMemoryInfo(host_);
  Api().ReleaseSession(session_);
}

std::vector<Tensor> Session::Describe(bool input) const {
  std::size_t count = 0;
  Check(input ? Api().SessionGetInputCount(session_, &count) : Api().SessionGetOutputCount(session_, &count));
  std::vector<Tensor> tensors;
  for (std::size_t i = 0; i < count; ++i) {
    char* name = nullptr;
    Check(input ? Api().SessionGetInputName(session_, i, Allocator(), &name)
                : Api().SessionGetOutputName(session_, i, Allocator(), &name));
    OrtTypeInfo* info = nullptr;
    Check(input ? Api().SessionGetInputTypeInfo(session_, i, &info)
                : Api().SessionGetOutputTypeInfo(session_, i, &info));
    const std::unique_ptr<OrtTypeInfo, void (*)(OrtTypeInfo*)> owned(info, Api().ReleaseTypeInfo);
    const OrtTensorTypeAndShapeInfo* shape = nullptr;
    Check(Api().CastTypeInfoToTensorInfo(info, &shape));
    Tensor tensor{Take(name), ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED, {}};
    std::size_t rank = 0;
    Check(Api().GetTensorElementType(shape, &tensor.type));
    Check(Api().GetDimensionsCount(shape, &rank));
    tensor.dims.resize(rank);
    Check(Api().GetDimensions(shape, tensor.dims.data(), rank));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void Session::Run(const std::map<std::string, Place>& tensors) const {
  std::vector<const char*> input_names;
  std::vector<const char*> output_names;
  std::vector<const OrtValue*> inputs;
  std::vector<OrtValue*> outputs;
  std::vector<Value> owned;
  const auto add = [&](const Tensor& tensor) {
    const Place& place = tensors.at(tensor.name);
    OrtValue* value = nullptr;
    Check(Api().CreateTensorWithDataAsOrtValue(host_, place.data, CountOf(place.dims) * SizeOf(tensor.type),
                                               place.dims.data(), place.dims.size(), tensor.type, &value));
    owned.push_back(Owned(value));
    return value;
  };
  for (const Tensor& tensor : inputs_) {
    input_names.push_back(tensor.name.c_str());
    inputs.push_back(add(tensor));
  }
  for (const Tensor& tensor : outputs_) {
    output_names.push_back(tensor.name.c_str());
    outputs.push_back(add(tensor));
  }
  Check(Api().Run(session_, nullptr, input_names.data(), inputs.data(), inputs.size(), output_names.data(),
                  outputs.size(), outputs.data()));
}

std::vector<std::vector<int64_t>> Session::OutputShapes(const Shapes& inputs) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto known = known_.find(inputs);
  return known != known_.end() ? known->second : known_.emplace(inputs, FindOutputShapes(inputs)).first->second;
}

std::vector<std::vector<int64_t>> Session::FindOutputShapes(const Shapes& inputs) const {
  std::vector<const char*> input_names;
  std::vector<const char*> output_names;
  output_names.reserve(outputs_.size());
  std::vector<const OrtValue*> values;
  std::vector<Value> owned;
  std::vector<std::vector<unsigned char>> zeros;
  for (const Tensor& tensor : inputs_) {
    const std::vector<int64_t>& dims = inputs.at(tensor.name);
    zeros.emplace_back(CountOf(dims) * SizeOf(tensor.type));
    OrtValue* value = nullptr;
    Check(Api().CreateTensorWithDataAsOrtValue(host_, zeros.back().data(), zeros.back().size(), dims.data(),
                                               dims.size(), tensor.type, &value));
    owned.push_back(Owned(value));
    values.push_back(value);
    input_names.push_back(tensor.name.c_str());
  }
  for (const Tensor& tensor : outputs_) output_names.push_back(tensor.name.c_str());
  std::vector<OrtValue*> found(outputs_.size(), nullptr);
  Check(Api().Run(session_, nullptr, input_names.data(), values.data(), values.size(), output_names.data(),
                  found.size(), found.data()));
  std::vector<std::vector<int64_t>> shapes;
  for (OrtValue* value : found) {
    owned.push_back(Owned(value));
    OrtTensorTypeAndShapeInfo* info = nullptr;
    Check(Api().GetTensorTypeAndShape(value, &info));
    std::size_t rank = 0;
    Check(Api().GetDimensionsCount(info, &rank));
    shapes.emplace_back(rank);
    Check(Api().GetDimensions(info, shapes.back().data(), rank));
    Api().ReleaseTensorTypeAndShapeInfo(info);
  }
  return shapes;
}

namespace {

struct Type {
  ONNXTensorElementDataType onnx;
  int data_type;
  uint64_t size;
};

constexpr Type kTypes[] = {
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 0, 4}, {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, 1, 2},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, 3, 4}, {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, 8, 8},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, 5, 1}, {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, 2, 1},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, 4, 1},  {ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, 7, 2},
};

const Type& Find(ONNXTensorElementDataType type) {
  for (const Type& known : kTypes) {
    if (known.onnx == type) return known;
  }
  throw std::runtime_error("the simulated TensorRT knows no type " + std::to_string(type));
}

}  // namespace

uint64_t SizeOf(ONNXTensorElementDataType type) { return Find(type).size; }
int DataTypeOf(ONNXTensorElementDataType type) { return Find(type).data_type; }

uint64_t CountOf(const std::vector<int64_t>& dims) {
  uint64_t count = 1;
  for (const int64_t n : dims) count *= static_cast<uint64_t>(n);
  return count;
}

}  // namespace simgpu
