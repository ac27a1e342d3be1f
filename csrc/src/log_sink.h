// Where TensorRT's log lines go: on to the caller's callback, and the errors
// among them into the message of the call that failed.
#ifndef TRTDET_SRC_LOG_SINK_H_
#define TRTDET_SRC_LOG_SINK_H_

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "trtdet.h"

namespace trtdet {

// A message of TensorRT's without the lines in which CUDA complains about a
// missing driver, where there is none; "" when nothing else is left. The lines
// come with nearly every call, also with those that then succeed, and a user
// must not read them first.
std::string WithoutMissingDriver(const char* message);

class LogSink {
 public:
  // Takes the logger over: its release is called by the destructor.
  explicit LogSink(const trtdet_logger& logger) noexcept : logger_(logger) {}
  ~LogSink();
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;

  // Any thread. What is all about a missing driver goes on as verbose.
  void Log(trtdet_severity severity, const char* message) noexcept;

  // Whose errors are meant: several threads may log at once, and those of a
  // call that only its own thread works for are that thread's.
  enum class From : uint8_t { kAnyThread, kThisThread };

  // Forgets the errors seen so far: a call that may fail starts with this.
  void ForgetErrors(From from = From::kAnyThread) noexcept;

  // The errors since then, one per line, repeats left out.
  std::string Errors(From from = From::kAnyThread) const;

 private:
  // More lines of a thread than this say nothing new; a broken graph can log
  // thousands.
  static constexpr std::size_t kMaxErrors = 16;

  struct Line {
    std::thread::id thread;
    std::string text;
  };

  void KeepError(const std::string& message);

  trtdet_logger logger_;
  mutable std::mutex mutex_;
  std::vector<Line> errors_;  // as they came
};

}  // namespace trtdet

#endif  // TRTDET_SRC_LOG_SINK_H_
