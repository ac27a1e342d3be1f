// A network in ONNX Runtime.
#ifndef TRTDET_TESTS_SIMGPU_TENSORRT_SESSION_H_
#define TRTDET_TESTS_SIMGPU_TENSORRT_SESSION_H_

#include <onnxruntime_c_api.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trtdet.h"

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
  // Throws trtdet::Error where ONNX Runtime refuses the file.
  explicit Session(const std::string& onnx);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const std::vector<Tensor>& inputs() const { return inputs_; }
  const std::vector<Tensor>& outputs() const { return outputs_; }
  // What the file says about itself under a key, "" for nothing.
  std::string Metadata(const char* key) const;

  // Runs with inputs and outputs where they lie, by name.
  void Run(const std::map<std::string, Place>& tensors) const;
  // The outputs' shapes for these inputs': the network is run on zeros.
  std::vector<std::vector<int64_t>> OutputShapes(const std::map<std::string, std::vector<int64_t>>& inputs) const;

 private:
  std::vector<Tensor> Describe(bool input) const;

  OrtSession* session_ = nullptr;
  OrtMemoryInfo* host_ = nullptr;
  std::vector<Tensor> inputs_;
  std::vector<Tensor> outputs_;
};

// Bytes of one number, 0 for a type that trtdet has no word for.
uint64_t SizeOf(ONNXTensorElementDataType type);
trtdet_dtype DTypeOf(ONNXTensorElementDataType type);
uint64_t CountOf(const std::vector<int64_t>& dims);

}  // namespace simgpu

#endif  // TRTDET_TESTS_SIMGPU_TENSORRT_SESSION_H_
