#include "driver.h"

#include "shared_object.h"

namespace trtdet {
namespace {

// CUresult of the driver API, written as a number so that no CUDA header is
// needed for two calls.
using CuInit = int (*)(unsigned int flags);
using CuDeviceGetCount = int (*)(int* count);
constexpr int kCudaSuccess = 0;
constexpr int kCudaErrorNoDevice = 100;

DriverState Missing(const std::string& reason) { return {false, reason}; }

DriverState Ask() {
  try {
    const SharedObject driver("libcuda.so.1");
    const auto init = driver.Symbol<CuInit>("cuInit");
    const auto device_count = driver.Symbol<CuDeviceGetCount>("cuDeviceGetCount");
    if (const int status = init(0); status == kCudaErrorNoDevice) {
      return Missing("the NVIDIA driver finds no GPU");
    } else if (status != kCudaSuccess) {
      return Missing("the NVIDIA driver does not start (cuInit returned " + std::to_string(status) +
                     "): check it with nvidia-smi");
    }
    int count = 0;
    if (device_count(&count) != kCudaSuccess || count == 0) return Missing("the NVIDIA driver finds no GPU");
    return {true, ""};
  } catch (const std::exception&) {
    return Missing("no NVIDIA driver (libcuda.so.1 cannot be loaded)");
  }
}

}  // namespace

const DriverState& DriverStatus() {
  static const DriverState state = Ask();
  return state;
}

}  // namespace trtdet
