#include "log_sink.h"

#include <algorithm>
#include <cstring>

#include "driver.h"

namespace trtdet {
namespace {

// Without a GPU TensorRT's own CUDA runtime complains in nearly every call,
// also in those that then succeed. A user must not read that first.
bool IsMissingDriver(const char* message) noexcept {
  static constexpr const char* kSigns[] = {
      "CUDA initialization failure with error: 35",
      "CUDA initialization failure with error: 100",
      "CUDA driver version is insufficient for CUDA runtime version",
      "no CUDA-capable device is detected",
      "Cuda Runtime (35)",
      "cudaError 35",
  };
  return std::any_of(std::begin(kSigns), std::end(kSigns),
                     [message](const char* sign) { return std::strstr(message, sign) != nullptr; });
}

}  // namespace

LogSink::~LogSink() {
  if (logger_.release != nullptr) logger_.release(logger_.context);
}

void LogSink::Log(trtdet_severity severity, const char* message) noexcept {
  if (message == nullptr) return;
  if (severity <= TRTDET_LOG_WARNING && IsMissingDriver(message) && !DriverStatus().ok) {
    severity = TRTDET_LOG_VERBOSE;
  }
  if (severity <= TRTDET_LOG_ERROR) {
    try {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (errors_.size() < kMaxErrors && std::find(errors_.begin(), errors_.end(), message) == errors_.end()) {
        errors_.emplace_back(message);
      }
    } catch (...) {  // a line lost for want of memory is not worth failing for
    }
  }
  if (logger_.log != nullptr) logger_.log(logger_.context, severity, message);
}

void LogSink::ForgetErrors() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  errors_.clear();
}

std::string LogSink::Errors() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string text;
  for (const std::string& line : errors_) {
    if (!text.empty()) text += '\n';
    text += line;
  }
  return text;
}

}  // namespace trtdet
