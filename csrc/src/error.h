// The one exception that crosses files inside the library, and what it becomes
// at the C boundary.
#ifndef TRTDET_SRC_ERROR_H_
#define TRTDET_SRC_ERROR_H_

#include <stdexcept>
#include <string>
#include <utility>

#include "trtdet.h"

namespace trtdet {

class Error : public std::runtime_error {
 public:
  // log: TensorRT's own error lines during the call, one per line, may be empty.
  Error(trtdet_code code, const std::string& message, std::string log = {})
      : std::runtime_error(message), code_(code), log_(std::move(log)) {}

  trtdet_code code() const noexcept { return code_; }
  const std::string& log() const noexcept { return log_; }

 private:
  trtdet_code code_;
  std::string log_;
};

// Turns the exception being handled into the C object. Never throws, never
// returns null: out of memory is a static object that freeing leaves alone.
trtdet_error* CurrentExceptionToC() noexcept;

}  // namespace trtdet

#endif  // TRTDET_SRC_ERROR_H_
