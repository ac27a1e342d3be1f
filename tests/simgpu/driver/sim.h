// What the parts of the simulated driver share: the machine's state, and the
// record of what a program did wrong.
#ifndef TRTDET_TESTS_SIMGPU_DRIVER_SIM_H_
#define TRTDET_TESTS_SIMGPU_DRIVER_SIM_H_

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

namespace simgpu {

// Settings, read from the environment when the driver starts.
struct Settings {
  int devices = 1;       // SIMGPU_DEVICES
  bool inline_ = false;  // SIMGPU_INLINE: work is done when it is asked for, by the thread that asks
  uint64_t seed = 1;     // SIMGPU_SEED: of how late work starts
  bool instant = false;  // SIMGPU_INSTANT: nothing is copied or computed, to measure what a program costs by itself
  // SIMGPU_NETWORK_US: a network takes so many microseconds, one at a time on each device, and all else as with
  // SIMGPU_INSTANT; to measure what a program adds to that. Events tell this time.
  uint64_t network_us = 0;
  // SIMGPU_MIG=DEVICE:PARTS: that device is the first of so many parts that MIG made of a GPU.
  int mig_device = -1, mig_parts = 0;
  uint64_t pin_us = 0;  // SIMGPU_PIN_US: to pin a MiB of host memory, or to let go of it, takes so many microseconds
  uint64_t memory = 0;  // SIMGPU_MEMORY: bytes of each device (default 4 GiB)
  static const Settings& Get();
};

// Something that a program must not do. It is written to standard error and
// counted; the call that is told of it goes on with a status of its own.
void Violation(const std::string& what);

// Counts a call by its name and returns the status that it was told to fail
// with, CUDA_SUCCESS otherwise.
CUresult Enter(const char* call);

// What lives now. All are 0 again when a program has closed everything.
struct Counts {
  int64_t contexts, allocations, pinned, streams, events, modules, graphs, executables, objects;
};

// One lock for all of the driver's bookkeeping; work is done outside of it.
std::mutex& Lock();
Counts& Live();  // under the lock

}  // namespace simgpu

#endif  // TRTDET_TESTS_SIMGPU_DRIVER_SIM_H_
