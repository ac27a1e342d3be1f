// A shared library loaded at run time.
#ifndef TRTDET_SRC_SHARED_OBJECT_H_
#define TRTDET_SRC_SHARED_OBJECT_H_

#include <string>

namespace trtdet {

class SharedObject {
 public:
  // Loads with RTLD_LOCAL: the symbols of two TensorRTs must never meet. Throws
  // Error(TRTDET_LIBRARY) with the loader's reason.
  explicit SharedObject(const std::string& path);
  ~SharedObject();
  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;

  // What it was loaded as.
  const std::string& path() const noexcept { return path_; }

  // Throws Error(TRTDET_LIBRARY) when the library has no such symbol.
  template <typename Function>
  Function Symbol(const char* name) const {
    return reinterpret_cast<Function>(Address(name, /*required=*/true));
  }

  // Null when the library has no such symbol.
  template <typename Function>
  Function OptionalSymbol(const char* name) const {
    return reinterpret_cast<Function>(Address(name, /*required=*/false));
  }

 private:
  void* Address(const char* name, bool required) const;

  std::string path_;
  void* handle_;
};

}  // namespace trtdet

#endif  // TRTDET_SRC_SHARED_OBJECT_H_
