// The ONNX parser of a simulated TensorRT.
#include <NvOnnxParser.h>

#include <memory>
#include <vector>

#include "network.h"

namespace simgpu {
namespace {

class ParserError final : public nvonnxparser::IParserErrorStub {
 public:
  ParserError(nvinfer1::ILogger& log, Refusal refusal) : log_(log), refusal_(std::move(refusal)) {}
  const char* desc() const override { return Text("IParserError::desc", refusal_.reason); }
  int node() const override { return Fails(log_, "IParserError::node") ? -1 : refusal_.node; }
  const char* nodeName() const override { return Text("IParserError::nodeName", refusal_.of.name); }
  const char* nodeOperator() const override { return Text("IParserError::nodeOperator", refusal_.of.op); }

 private:
  const char* Text(const char* call, const std::string& text) const {
    return Fails(log_, call) ? nullptr : text.c_str();
  }

  nvinfer1::ILogger& log_;
  Refusal refusal_;
};

class Parser final : public nvonnxparser::IParserStub, private Counted {
 public:
  Parser(Network& network, nvinfer1::ILogger& log) : network_(network), log_(log) {}

  bool parseFromFile(const char* path, int) noexcept override {
    if (Fails(log_, "IParser::parseFromFile")) return false;
    Refusal refusal;
    if (network_.Load(path, refusal)) return true;
    errors_.push_back(std::make_unique<ParserError>(log_, refusal));
    return Refuse(log_, "ModelImporter: " + refusal.reason);
  }
  int getNbErrors() const noexcept override {
    return Fails(log_, "IParser::getNbErrors") ? 0 : static_cast<int>(errors_.size());
  }
  const nvonnxparser::IParserError* getError(int index) const noexcept override {
    return Fails(log_, "IParser::getError") ? nullptr : errors_[static_cast<std::size_t>(index)].get();
  }

 private:
  Network& network_;
  nvinfer1::ILogger& log_;
  std::vector<std::unique_ptr<ParserError>> errors_;
};

}  // namespace
}  // namespace simgpu

int getNvOnnxParserVersion() noexcept { return NV_ONNX_PARSER_VERSION; }

void* createNvOnnxParser_INTERNAL(void* network, void* logger, int version) noexcept {
  auto& log = *static_cast<nvinfer1::ILogger*>(logger);
  if (simgpu::Fails(log, "createNvOnnxParser_INTERNAL")) return nullptr;
  if (version != NV_ONNX_PARSER_VERSION) {
    simgpu::Refuse(log, "the parser is asked for another version than its own");
    return nullptr;
  }
  auto& of = static_cast<simgpu::Network&>(*static_cast<nvinfer1::INetworkDefinition*>(network));
  return static_cast<nvonnxparser::IParser*>(new simgpu::Parser(of, log));
}
