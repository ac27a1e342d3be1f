/* A driver for driver_test: a few calls that write down or add up what they were given. */
#include <cuda.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT CUresult cuInit(unsigned int flags) {
  const char* const status = getenv("FAKE_STATUS");
  (void)flags;
  return status != NULL ? (CUresult)atoi(status) : CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetCount(int* count) {
  *count = 3;
  return CUDA_SUCCESS;
}

/* six arguments in registers, five on the stack */
EXPORT CUresult cuLaunchKernel(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
                               unsigned int by, unsigned int bz, unsigned int shared, CUstream stream,
                               void** parameters, void** extra) {
  unsigned int* const seen = parameters[0];
  (void)f;
  seen[0] = gx + 10 * gy + 100 * gz + 1000 * bx + 10000 * by + 100000 * bz + 1000000 * shared;
  seen[1] = stream == (CUstream)seen && extra == NULL;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuTexRefSetMipmapLevelClamp(CUtexref reference, float least, float most) {
  ((float*)reference)[0] = least;
  ((float*)reference)[1] = most;
  return CUDA_SUCCESS;
}

/* a struct of 64 bytes by value */
EXPORT CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* address, CUipcMemHandle handle, unsigned int flags) {
  *address = (unsigned char)handle.reserved[63] + flags;
  return CUDA_SUCCESS;
}
