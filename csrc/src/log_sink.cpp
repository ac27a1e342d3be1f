#include "log_sink.h"

#include <algorithm>
#include <sstream>

#include "driver.h"

namespace trtdet {
namespace {

bool IsMissingDriver(const std::string& line) {
  static constexpr const char* kSigns[] = {
      "CUDA initialization failure with error: 35",
      "CUDA initialization failure with error: 100",
      "CUDA driver version is insufficient for CUDA runtime version",
      "no CUDA-capable device is detected",
      "Cuda Runtime (35)",
      "cudaError 35",
  };
  return std::any_of(std::begin(kSigns), std::end(kSigns),
                     [&line](const char* sign) { return line.find(sign) != std::string::npos; });
}

}  // namespace

std::string WithoutMissingDriver(const char* message) {
  if (DriverStatus().ok) return message;
  std::istringstream lines(message);
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    if (IsMissingDriver(line)) continue;
    if (!kept.empty()) kept += '\n';
    kept += line;
  }
  return kept;
}

LogSink::~LogSink() {
  if (logger_.release != nullptr) logger_.release(logger_.context);
}

void LogSink::Log(trtdet_severity severity, const char* message) noexcept {
  if (message == nullptr) return;
  try {
    if (severity <= TRTDET_LOG_WARNING) {
      const std::string kept = WithoutMissingDriver(message);
      if (kept.empty()) {
        severity = TRTDET_LOG_VERBOSE;
      } else {
        if (severity <= TRTDET_LOG_ERROR) KeepError(kept);
        if (logger_.log != nullptr) logger_.log(logger_.context, severity, kept.c_str());
        return;
      }
    }
  } catch (...) {  // out of memory: the line goes on as it came
  }
  if (logger_.log != nullptr) logger_.log(logger_.context, severity, message);
}

void LogSink::KeepError(const std::string& message) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (errors_.size() < kMaxErrors && std::find(errors_.begin(), errors_.end(), message) == errors_.end()) {
    errors_.push_back(message);
  }
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
