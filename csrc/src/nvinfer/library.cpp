#include "library.h"

#include "../driver.h"
#include "../error.h"
#include "builder.h"
#include "engine.h"

#define TRTDET_TEXT_(x) #x
#define TRTDET_TEXT(x) TRTDET_TEXT_(x)

namespace trtdet {
namespace TRTDET_FLAVOR_NAMESPACE {
namespace {

constexpr const char* kName = kIsRtx ? "TensorRT-RTX" : "TensorRT " TRTDET_TEXT(TRTDET_FLAVOR);

// getInferLibVersion is major * 10000 + minor * 100 + patch from TensorRT 10
// on; before that the factor was 1000, which makes 8.6.1 8601, major 0.
std::string VersionText(int32_t version, const SharedObject& infer) {
  std::string text =
      std::to_string(version / 10000) + '.' + std::to_string(version / 100 % 100) + '.' + std::to_string(version % 100);
  if (const auto build = infer.OptionalSymbol<LibraryVersion>(kLibraryBuild)) text += '.' + std::to_string(build());
  return text;
}

int32_t ParserVersion(const SharedObject& parser) {
  const auto version = parser.OptionalSymbol<LibraryVersion>(kParserVersion);
  return version == nullptr ? NV_ONNX_PARSER_VERSION : version();
}

std::unique_ptr<Library> Open(const std::string& path, const std::string& parser_path) {
  return std::make_unique<NvLibrary>(path, parser_path);
}

}  // namespace

Binaries::Binaries(const std::string& path, const std::string& parser_path)
    : infer(path),
      parser(parser_path),
      create_builder(infer.Symbol<TRTDET_FLAVOR_NAMESPACE::CreateBuilder>(kCreateBuilder)),
      create_runtime(infer.Symbol<TRTDET_FLAVOR_NAMESPACE::CreateRuntime>(kCreateRuntime)),
      create_parser(parser.Symbol<TRTDET_FLAVOR_NAMESPACE::CreateParser>(kCreateParser)),
      version(infer.Symbol<LibraryVersion>(kLibraryVersion)()),
      parser_version(ParserVersion(parser)) {}

NvLibrary::NvLibrary(const std::string& path, const std::string& parser_path)
    : binaries_(std::make_shared<Binaries>(path, parser_path)),
      version_(VersionText(binaries_->version, binaries_->infer)) {
  if (binaries_->version / 10000 != TRTDET_FLAVOR) {
    throw Error(TRTDET_VERSION, path + " is version " + version_ + ", not a " + kName);
  }
}

std::unique_ptr<Builder> NvLibrary::CreateBuilder(std::shared_ptr<LogSink> log) {
  if (!kIsRtx && !DriverStatus().ok) {
    throw Error(TRTDET_NO_DRIVER, std::string(kName) + " builds only on a machine with an NVIDIA GPU: " +
                                      DriverStatus().reason + "; TensorRT-RTX builds without one");
  }
  return std::make_unique<NvBuilder>(binaries_, std::move(log));
}

std::unique_ptr<Engine> NvLibrary::LoadEngine(Bytes plan, Bytes cache, std::shared_ptr<LogSink> log) {
  // TensorRT 10 returns a bad pointer for a runtime where there is no driver.
  if (!DriverStatus().ok) {
    throw Error(TRTDET_NO_DRIVER, std::string(kName) + " runs engines only on an NVIDIA GPU: " + DriverStatus().reason);
  }
  return std::make_unique<NvEngine>(binaries_, plan, cache, std::move(log));
}

}  // namespace TRTDET_FLAVOR_NAMESPACE

#if TRTDET_FLAVOR == 1
const Flavor& FlavorRtx1() noexcept {
#elif TRTDET_FLAVOR == 10
const Flavor& Flavor10() noexcept {
#else
const Flavor& Flavor11() noexcept {
#endif
  static constexpr Flavor flavor{static_cast<trtdet_flavor>(TRTDET_FLAVOR), TRTDET_FLAVOR_NAMESPACE::kName,
                                 TRTDET_TEXT(NV_TENSORRT_MAJOR) "." TRTDET_TEXT(NV_TENSORRT_MINOR) "." TRTDET_TEXT(
                                     NV_TENSORRT_PATCH) "." TRTDET_TEXT(NV_TENSORRT_BUILD),
                                 TRTDET_FLAVOR_NAMESPACE::Open};
  return flavor;
}

}  // namespace trtdet
