// The kernels, run on the host.
#ifndef TRTDET_TESTS_SIMGPU_DRIVER_KERNELS_H_
#define TRTDET_TESTS_SIMGPU_DRIVER_KERNELS_H_

#include <cuda.h>

#include <cstdint>
#include <string>

namespace simgpu {

struct Dim {
  unsigned int x, y, z;
};

// How a kernel is launched.
struct Launch {
  Dim grid, block;
  // Whether a GPU takes it, for kernels with these launch bounds.
  bool Fits() const;
};

// Runs every thread of a launch, or only those of the first half of the grid's
// blocks.
using Kernel = void (*)(uint64_t block, const Launch& launch, bool whole);
// Which of the kernels has a name, nullptr where none has.
Kernel FindKernel(const std::string& name);

}  // namespace simgpu

#endif  // TRTDET_TESTS_SIMGPU_DRIVER_KERNELS_H_
