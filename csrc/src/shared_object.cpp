#include "shared_object.h"

#include <dlfcn.h>

#include "error.h"

namespace trtdet {
namespace {

std::string LoaderReason() {
  const char* reason = dlerror();
  return reason == nullptr ? "no reason given" : reason;
}

}  // namespace

// RTLD_NODELETE: TensorRT and CUDA leave thread-local destructors and exit
// handlers behind, which must still be mapped when they run.
SharedObject::SharedObject(const std::string& path)
    : path_(path), handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)) {
  if (handle_ == nullptr) throw Error(TRTDET_LIBRARY, "cannot load " + path + ": " + LoaderReason());
}

SharedObject::~SharedObject() { dlclose(handle_); }

void* SharedObject::Address(const char* name, bool required) const {
  void* const address = dlsym(handle_, name);
  if (address == nullptr && required) {
    throw Error(TRTDET_LIBRARY, path_ + " has no symbol " + name + ": it is not the library it was taken for");
  }
  return address;
}

}  // namespace trtdet
