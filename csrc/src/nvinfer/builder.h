// The builder and the networks it parses.
#ifndef TRTDET_SRC_NVINFER_BUILDER_H_
#define TRTDET_SRC_NVINFER_BUILDER_H_

#include <memory>
#include <string>
#include <vector>

#include "../flavor.h"
#include "api.h"
#include "library.h"
#include "logger.h"

namespace trtdet::TRTDET_FLAVOR_NAMESPACE {

// What networks and plans share with their builder. The order of the members
// is their lifetime: the builder goes first, then its logger, then the code.
struct BuilderState {
  std::shared_ptr<Binaries> binaries;
  Logger logger;
  std::unique_ptr<nvinfer1::IBuilder> builder;
};

class NvBuilder final : public Builder {
 public:
  NvBuilder(std::shared_ptr<Binaries> binaries, std::shared_ptr<LogSink> log);
  std::unique_ptr<Network> Parse(const std::string& onnx_path) override;

 private:
  std::shared_ptr<BuilderState> state_;
};

class NvNetwork final : public Network {
 public:
  NvNetwork(std::shared_ptr<BuilderState> state, const std::string& onnx_path);
  int32_t TensorCount(trtdet_role role) const override;
  trtdet_tensor Tensor(trtdet_role role, int32_t index) const override;
  std::unique_ptr<Plan> Build(const BuildConfig& config, const Progress& progress) override;

 private:
  struct NetworkTensor {
    std::string name;
    nvinfer1::DataType dtype;
    nvinfer1::Dims dims;
  };

  void Describe();
  NetworkTensor Describe(const nvinfer1::ITensor* tensor) const;
  const std::vector<NetworkTensor>& Tensors(trtdet_role role) const {
    return role == TRTDET_INPUT ? inputs_ : outputs_;
  }

  std::shared_ptr<BuilderState> state_;
  std::unique_ptr<nvinfer1::INetworkDefinition> network_;
  // The network's weights may lie in the parser's memory.
  std::unique_ptr<nvonnxparser::IParser> parser_;
  std::vector<NetworkTensor> inputs_;
  std::vector<NetworkTensor> outputs_;
};

}  // namespace trtdet::TRTDET_FLAVOR_NAMESPACE

#endif  // TRTDET_SRC_NVINFER_BUILDER_H_
