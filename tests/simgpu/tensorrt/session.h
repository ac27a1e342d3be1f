// A network in ONNX Runtime.
#ifndef TRTDET_TESTS_SIMGPU_TENSORRT_SESSION_H_
#define TRTDET_TESTS_SIMGPU_TENSORRT_SESSION_H_

#include <onnxruntime_c_api.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace simgpu {

// An input or output as the file has it.
struct Tensor {
  std::string name;
  ONNXTensorElementDataType type;
  std::vector<int64_t> dims;  // -1 varies
};

// Where an input or output of a run lies, and its shape.
struct Place {
  void* data;
  std::vector<int64_t> dims;
};

class Session {
 public:
  // Throws std::runtime_error where ONNX Runtime refuses the file. One that only
  // tells what the file has is made sooner.
  enum class Use : uint8_t { kRun, kDescribe };
  explicit Session(const std::string& onnx, Use use = Use::kRun);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const std::vector<Tensor>& inputs() const { return inputs_; }
  const std::vector<Tensor>& outputs() const { return outputs_; }

  // Runs with inputs and outputs where they lie, by name.
  void Run(const std::map<std::string, Place>& tensors) const;
  // The outputs' shapes for these inputs': the network is run on zeros, once for
  // each.
  using Shapes = std::map<std::string, std::vector<int64_t>>;
  std::vector<std::vector<int64_t>> OutputShapes(const Shapes& inputs) const;

 private:
  std::vector<Tensor> Describe(bool input) const;
  std::vector<std::vector<int64_t>> FindOutputShapes(const Shapes& inputs) const;

  OrtSession* session_ = nullptr;
  OrtMemoryInfo* host_ = nullptr;
  std::vector<Tensor> inputs_;
  std::vector<Tensor> outputs_;
  mutable std::mutex mutex_;
  mutable std::map<Shapes, std::vector<std::vector<int64_t>>> known_;  // under the mutex
};

// Bytes of one number.
uint64_t SizeOf(ONNXTensorElementDataType type);
// The nvinfer1::DataType of the same numbers, which every flavor counts alike.
int DataTypeOf(ONNXTensorElementDataType type);
uint64_t CountOf(const std::vector<int64_t>& dims);

}  // namespace simgpu

#endif  // TRTDET_TESTS_SIMGPU_TENSORRT_SESSION_H_
