#include "error.h"

#include <new>

struct trtdet_error {
  trtdet_code code;
  std::string message;
  std::string log;
};

namespace trtdet {
namespace {

// An error about memory must not ask for memory.
trtdet_error& OutOfMemory() noexcept {
  // Both texts fit std::string's own buffer; it is never destroyed, so that a
  // caller may hold it while the process ends.
  alignas(trtdet_error) static unsigned char storage[sizeof(trtdet_error)];
  static trtdet_error* const error = new (storage) trtdet_error{TRTDET_MEMORY, "out of memory", ""};
  return *error;
}

trtdet_error* Make(trtdet_code code, const char* message, const char* log) noexcept {
  try {
    return new trtdet_error{code, message, log};
  } catch (...) {
    return &OutOfMemory();
  }
}

}  // namespace

trtdet_error* CurrentExceptionToC() noexcept {
  try {
    throw;
  } catch (const Error& e) {
    return Make(e.code(), e.what(), e.log().c_str());
  } catch (const std::bad_alloc&) {
    return &OutOfMemory();
  } catch (const std::exception& e) {
    return Make(TRTDET_INTERNAL, e.what(), "");
  } catch (...) {
    return Make(TRTDET_INTERNAL, "an exception of unknown type", "");
  }
}

}  // namespace trtdet

extern "C" {

trtdet_code trtdet_error_code(const trtdet_error* error) noexcept { return error == nullptr ? TRTDET_OK : error->code; }

const char* trtdet_error_message(const trtdet_error* error) noexcept {
  return error == nullptr ? "" : error->message.c_str();
}

const char* trtdet_error_log(const trtdet_error* error) noexcept { return error == nullptr ? "" : error->log.c_str(); }

void trtdet_error_free(trtdet_error* error) noexcept {
  if (error != &trtdet::OutOfMemory()) delete error;
}

}  // extern "C"
