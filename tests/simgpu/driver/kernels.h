// The kernels, run on the host.
#ifndef TRTDET_TESTS_SIMGPU_DRIVER_KERNELS_H_
#define TRTDET_TESTS_SIMGPU_DRIVER_KERNELS_H_

#include <cuda.h>

#include <cstdint>
#include <string>

namespace simgpu {

// Which of the kernels has a name, nullptr where none has.
using Kernel = void (*)(uint64_t block, unsigned int views);
Kernel FindKernel(const std::string& name);

}  // namespace simgpu

#endif  // TRTDET_TESTS_SIMGPU_DRIVER_KERNELS_H_
