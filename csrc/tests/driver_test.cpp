// The driver loader. What it has found holds for the whole process, so each
// case runs in one of its own, which says what is wrong by its exit status.
// cuIpcOpenMemHandle_v2 and others under their own names
#define __CUDA_API_VERSION_INTERNAL  // NOLINT(bugprone-reserved-identifier): CUDA's
#include <cuda.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <nvml.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "driver_state.h"

namespace {

// Runs body in a new process with this driver, and expects it to return 0.
template <typename Body>
void InProcess(const char* driver, const char* status, Body body) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        setenv("TRTDET_LIBCUDA", driver, 1);
        if (status != nullptr) setenv("FAKE_STATUS", status, 1);
        _exit(body());
      },
      testing::ExitedWithCode(0), "");
}

TEST(Driver, PassesOnEveryKindOfArgument) {
  InProcess(FAKE_DRIVER, nullptr, [] {
    if (cuInit(0) != CUDA_SUCCESS || trtdet_driver()->missing != nullptr) return 1;
    int count = 0;
    if (cuDeviceGetCount(&count) != CUDA_SUCCESS || count != 3) return 2;
    unsigned int seen[2] = {};
    void* parameters[] = {seen};
    const auto stream = reinterpret_cast<CUstream>(seen);
    for (int again = 0; again < 2; ++again) {
      if (cuLaunchKernel(nullptr, 1, 2, 3, 4, 5, 6, 7, stream, parameters, nullptr) != CUDA_SUCCESS) return 3;
      if (seen[0] != 7654321 || seen[1] != 1) return 4;
      seen[0] = 0;
    }
    float clamp[2] = {};
    cuTexRefSetMipmapLevelClamp(reinterpret_cast<CUtexref>(clamp), 0.25f, 7.5f);
    if (clamp[0] != 0.25f || clamp[1] != 7.5f) return 5;
    CUipcMemHandle handle = {};
    handle.reserved[63] = 40;
    CUdeviceptr address = 0;
    cuIpcOpenMemHandle_v2(&address, handle, 2);
    return address == 42 ? 0 : 6;
  });
}

TEST(Driver, SaysWhatAnOldDriverLacks) {
  InProcess(FAKE_DRIVER, nullptr,
            [] { return cuDevicePrimaryCtxRetain(nullptr, 0) == CUDA_ERROR_NOT_SUPPORTED ? 0 : 1; });
}

TEST(Driver, AnswersEveryCallWithTheReasonThatCuInitGave) {
  InProcess(FAKE_DRIVER, "999", [] {
    int count = 0;
    if (cuInit(0) != CUDA_SUCCESS) return 1;
    if (cuDeviceGetCount(&count) != CUDA_ERROR_UNKNOWN || count != 0) return 2;
    return trtdet_driver()->status == 999 && trtdet_driver()->missing == nullptr ? 0 : 3;
  });
}

TEST(Driver, WithoutOneThereIsNoDevice) {
  InProcess("/nonexistent/libcuda.so.1", nullptr, [] {
    int count = 0;
    if (cuInit(0) != CUDA_SUCCESS || cuDeviceGetCount(&count) != CUDA_ERROR_NO_DEVICE) return 1;
    const char* const missing = trtdet_driver()->missing;
    return missing != nullptr && std::string(missing).find("/nonexistent/libcuda.so.1") == 0 ? 0 : 2;
  });
}

TEST(Driver, ALibraryThatIsNoDriverIsNone) {
  InProcess("libm.so.6", nullptr, [] {
    int count = 0;
    return cuDeviceGetCount(&count) == CUDA_ERROR_NO_DEVICE && trtdet_driver()->missing != nullptr ? 0 : 1;
  });
}

TEST(NVML, WithoutItCallsSayTheLibraryIsMissing) {
  if (void* const library = dlopen("libnvidia-ml.so.1", RTLD_LAZY)) {
    dlclose(library);
    GTEST_SKIP() << "this machine has NVML";
  }
  EXPECT_EQ(nvmlInit_v2(), NVML_ERROR_LIBRARY_NOT_FOUND);
  EXPECT_STREQ(nvmlErrorString(NVML_ERROR_UNKNOWN), "NVML is not there");
}

}  // namespace
