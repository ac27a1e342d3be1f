// Whether there is an NVIDIA driver with a GPU behind it. TensorRT 10 and 11
// must be asked only after that: without a driver some of their calls return
// pointers that are neither null nor good.
#ifndef TRTDET_SRC_DRIVER_H_
#define TRTDET_SRC_DRIVER_H_

#include <string>

namespace trtdet {

struct DriverState {
  bool ok = false;
  std::string reason;  // what is missing and what to do, empty when ok
};

// Asked once per process: a driver does not come or go under a running one.
const DriverState& DriverStatus();

}  // namespace trtdet

#endif  // TRTDET_SRC_DRIVER_H_
