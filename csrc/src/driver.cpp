#include "driver.h"

#include <cuda.h>

#include "driver_state.h"

namespace trtdet {
namespace {

DriverState Missing(const std::string& reason) { return {false, reason}; }

DriverState Ask() {
  const trtdet_driver_state& driver = *::trtdet_driver();
  if (driver.missing != nullptr) return Missing(std::string("no NVIDIA driver (") + driver.missing + ")");
  if (driver.status != CUDA_SUCCESS && driver.status != CUDA_ERROR_NO_DEVICE) {
    return Missing("the NVIDIA driver does not start (cuInit returned " + std::to_string(driver.status) +
                   "): check it with nvidia-smi");
  }
  int count = 0;
  if (cuDeviceGetCount(&count) != CUDA_SUCCESS || count == 0) return Missing("the NVIDIA driver finds no GPU");
  return {true, ""};
}

}  // namespace

const DriverState& DriverStatus() {
  static const DriverState state = Ask();
  return state;
}

}  // namespace trtdet
