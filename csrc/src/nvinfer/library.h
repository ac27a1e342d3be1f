// The loaded libraries of one flavor.
#ifndef TRTDET_SRC_NVINFER_LIBRARY_H_
#define TRTDET_SRC_NVINFER_LIBRARY_H_

#include <memory>
#include <string>

#include "../flavor.h"
#include "../shared_object.h"
#include "api.h"

namespace trtdet::TRTDET_FLAVOR_NAMESPACE {

// TensorRT and its parser, loaded in that order: the parser finds the
// TensorRT it needs already there.
struct Binaries {
  Binaries(const std::string& path, const std::string& parser_path);

  SharedObject infer;
  SharedObject parser;
  CreateBuilder create_builder;
  CreateRuntime create_runtime;
  CreateParser create_parser;
  // What the create_ functions are called with: the libraries' own
  // versions, not the headers', or they refuse headers newer than themselves.
  int32_t version;
  int32_t parser_version;
};

class NvLibrary final : public Library {
 public:
  NvLibrary(const std::string& path, const std::string& parser_path);
  const std::string& Version() const override { return version_; }
  std::unique_ptr<Builder> CreateBuilder(std::shared_ptr<LogSink> log) override;
  std::unique_ptr<Engine> LoadEngine(Bytes plan, Bytes cache, std::shared_ptr<LogSink> log) override;

 private:
  std::shared_ptr<Binaries> binaries_;
  std::string version_;
};

}  // namespace trtdet::TRTDET_FLAVOR_NAMESPACE

#endif  // TRTDET_SRC_NVINFER_LIBRARY_H_
