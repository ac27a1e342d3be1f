// A network between the parser, which is a library of its own, and the builder.
#ifndef TRTDET_TESTS_SIMGPU_TENSORRT_NETWORK_H_
#define TRTDET_TESTS_SIMGPU_TENSORRT_NETWORK_H_

#include <memory>
#include <string>
#include <vector>

#include "calls.h"
#include "onnx.h"
#include "plan.h"

namespace simgpu {

// What the parser refuses a file for.
struct Refusal {
  std::string reason;
  int node = -1;  // -1 for none in particular
  Node of;
};

// TensorRT's parser adds layer after layer; this one hands in the whole file.
class Network : public nvinfer1::INetworkDefinition {
 public:
  // Virtual, so that the parser needs no symbol of the other library's. Returns
  // false, and why, where the file cannot be had.
  virtual bool Load(const std::string& path, Refusal& refusal) noexcept = 0;
};

std::unique_ptr<Network> MakeNetwork(nvinfer1::ILogger& log, std::shared_ptr<void> child);

// What a build takes of a network.
struct Contents {
  std::string onnx;
  std::map<std::string, Shape> inputs;  // -1 varies
};

Contents ContentsOf(const nvinfer1::INetworkDefinition& network);

nvinfer1::Dims ToDims(const Shape& shape);
Shape ToShape(const nvinfer1::Dims& dims);

}  // namespace simgpu

#endif  // TRTDET_TESTS_SIMGPU_TENSORRT_NETWORK_H_
