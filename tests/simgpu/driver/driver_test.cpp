// What the simulated driver does as real ones do. Each test leaves nothing behind.
#include <cuda.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../simgpu.h"
#include "block.h"

namespace {

const int kTwo = setenv("SIMGPU_DEVICES", "2", 1);

// A context, a stream and memory on a device, and this thread's own.
class Driver : public testing::Test {
 protected:
  void SetUp() override {
    before_ = simgpu_count();
    Open(0);
  }
  void TearDown() override {
    Close();
    simgpu_fail("", 0, 0);
    const simgpu_counts after = simgpu_count();
    simgpu_counts want = before_;
    want.violations += violations_;
    EXPECT_EQ(memcmp(&after, &want, sizeof after), 0)
        << "something is left, or was done that must not be: " << after.violations - before_.violations;
  }

  void Open(int device) {
    device_ = device;
    ASSERT_EQ(cuDevicePrimaryCtxRetain(&context_, device), CUDA_SUCCESS);
    ASSERT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    ASSERT_EQ(cuMemAlloc(&memory_, kSize), CUDA_SUCCESS);
    void* pinned = nullptr;
    ASSERT_EQ(cuMemHostAlloc(&pinned, kSize, 0), CUDA_SUCCESS);
    pinned_ = static_cast<unsigned char*>(pinned);
    memset(pinned_, 7, kSize);
  }
  // Returns what each call of it says.
  std::vector<CUresult> Close() {
    if (context_ == nullptr) return {};
    context_ = nullptr;
    return {cuStreamDestroy(stream_), cuMemFree(memory_), cuMemFreeHost(pinned_), cuCtxSetCurrent(nullptr),
            cuDevicePrimaryCtxRelease(device_)};
  }
  unsigned char* OnDevice() const { return static_cast<unsigned char*>(simgpu_host_pointer(memory_, kSize)); }

  static constexpr size_t kSize = 1000;
  int device_ = 0;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
  CUdeviceptr memory_ = 0;
  unsigned char* pinned_ = nullptr;
  int64_t violations_ = 0;  // that the test provokes

 private:
  simgpu_counts before_{};
};

// A host function of a stream that waits until it is let go.
class Gate {
 public:
  explicit Gate(CUstream stream) {
    EXPECT_EQ(cuLaunchHostFunc(
                  stream, [](void* self) { static_cast<Gate*>(self)->open_.get_future().wait(); }, this),
              CUDA_SUCCESS);
  }
  void Open() { open_.set_value(); }

 private:
  std::promise<void> open_;
};

void WaitForCall(const char* call, int64_t count) {
  while (simgpu_calls(call) < count) std::this_thread::yield();
}

// --- failures ---

TEST_F(Driver, AFaultIsFoundLateAndStays) {
  CUevent event = nullptr;
  CUstream other = nullptr;
  ASSERT_EQ(cuEventCreate(&event, CU_EVENT_DEFAULT), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  const unsigned char untouched = OnDevice()[0];
  ASSERT_NE(untouched, 7);
  bool called = false;
  simgpu_fault(0, 2, CUDA_ERROR_LAUNCH_FAILED);
  EXPECT_EQ(cuMemcpyHtoDAsync(memory_, pinned_, 10, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuMemcpyHtoDAsync(memory_ + 100, pinned_, 100, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuMemcpyHtoDAsync(memory_ + 300, pinned_, 100, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuLaunchHostFunc(stream_, [](void* flag) { *static_cast<bool*>(flag) = true; }, &called), CUDA_SUCCESS);
  EXPECT_EQ(cuEventRecord(event, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuEventSynchronize(event), CUDA_ERROR_LAUNCH_FAILED);
  const std::vector<unsigned char> there(OnDevice(), OnDevice() + kSize);
  EXPECT_EQ(there[9], 7) << "what came before is done";
  EXPECT_EQ(there[149], 7) << "and half of what failed";
  EXPECT_EQ(there[150], untouched);
  EXPECT_EQ(there[300], untouched) << "and nothing behind it";
  EXPECT_FALSE(called);

  size_t size = 0;
  CUdeviceptr more = 0;
  void* pinned = nullptr;
  for (int again = 0; again < 2; ++again) {
    EXPECT_EQ(cuStreamSynchronize(other), CUDA_ERROR_LAUNCH_FAILED);
    EXPECT_EQ(cuCtxSynchronize(), CUDA_ERROR_LAUNCH_FAILED);
    float milliseconds = 0;
    EXPECT_EQ(cuEventElapsedTime(&milliseconds, event, event), CUDA_ERROR_LAUNCH_FAILED);
    EXPECT_EQ(cuMemGetInfo(&size, &size), CUDA_ERROR_LAUNCH_FAILED);
    EXPECT_EQ(cuMemAlloc(&more, 10), CUDA_ERROR_LAUNCH_FAILED);
    EXPECT_EQ(cuMemHostAlloc(&pinned, 10, 0), CUDA_ERROR_LAUNCH_FAILED);
    EXPECT_EQ(cuMemcpyHtoDAsync(memory_, pinned_, 10, other), CUDA_ERROR_LAUNCH_FAILED);
  }
  EXPECT_EQ(cuStreamDestroy(other), CUDA_ERROR_LAUNCH_FAILED);
  EXPECT_EQ(cuEventDestroy(event), CUDA_ERROR_LAUNCH_FAILED);
  Close();
  // the context that is made anew has it too, the other device has not
  EXPECT_EQ(cuDevicePrimaryCtxRetain(&context_, 0), CUDA_ERROR_LAUNCH_FAILED);
  Open(1);
  EXPECT_EQ(cuMemcpyHtoDAsync(memory_, pinned_, 100, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  Close();
  simgpu_lose(0, 0);  // a new process
  Open(0);
  EXPECT_EQ(cuMemcpyHtoDAsync(memory_, pinned_, 100, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
}

TEST_F(Driver, AFaultThatNoCallHasFoundOutlivesTheContext) {
  EXPECT_EQ(cuMemFree(memory_), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFreeHost(pinned_), CUDA_SUCCESS);
  simgpu_fault(0, 1, CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(cuLaunchHostFunc(stream_, [](void*) {}, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamDestroy(stream_), CUDA_SUCCESS) << "which says nothing of it";
  EXPECT_EQ(cuCtxSetCurrent(nullptr), CUDA_SUCCESS);
  EXPECT_EQ(cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
  EXPECT_EQ(cuDevicePrimaryCtxRetain(&context_, 0), CUDA_ERROR_ILLEGAL_ADDRESS);
  context_ = nullptr;
  simgpu_lose(0, 0);
}

TEST_F(Driver, FailuresPassUnlessTheyAreToStay) {
  CUdeviceptr address = 0;
  const auto allocate = [&] {
    const CUresult status = cuMemAlloc(&address, 10);
    if (status == CUDA_SUCCESS) {
      EXPECT_EQ(cuMemFree(address), CUDA_SUCCESS);
    }
    return status;
  };
  simgpu_fail("cuMemAlloc", 2, CUDA_ERROR_OUT_OF_MEMORY);
  for (const CUresult want : {CUDA_SUCCESS, CUDA_ERROR_OUT_OF_MEMORY, CUDA_SUCCESS, CUDA_SUCCESS}) {
    EXPECT_EQ(allocate(), want);
  }
  simgpu_fail_from("cuMemAlloc", 2, CUDA_ERROR_OUT_OF_MEMORY);
  for (const CUresult want : {CUDA_SUCCESS, CUDA_ERROR_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY}) {
    EXPECT_EQ(allocate(), want);
  }
  simgpu_fail("", 0, 0);
  EXPECT_EQ(allocate(), CUDA_SUCCESS);
}

// --- contexts ---

TEST_F(Driver, ContextsAreStacked) {
  CUcontext other = nullptr;
  CUcontext is = nullptr;
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&other, 1), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxPushCurrent(other), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxGetCurrent(&is), CUDA_SUCCESS);
  EXPECT_EQ(is, other);
  EXPECT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);  // in the place of the last one
  EXPECT_EQ(cuCtxPopCurrent(&is), CUDA_SUCCESS);
  EXPECT_EQ(is, context_);
  EXPECT_EQ(cuCtxGetCurrent(&is), CUDA_SUCCESS);
  EXPECT_EQ(is, context_);
  EXPECT_EQ(cuDevicePrimaryCtxRelease(1), CUDA_SUCCESS);
  std::thread([] {
    CUcontext none = nullptr;
    EXPECT_EQ(cuCtxGetCurrent(&none), CUDA_SUCCESS);
    EXPECT_EQ(none, nullptr);
    EXPECT_EQ(cuCtxPopCurrent(&none), CUDA_ERROR_INVALID_CONTEXT);
  }).join();
  violations_ = 1;
}

// --- frees ---

TEST_F(Driver, FreesWaitForTheDeviceAndNobodyForThem) {
  using Free = CUresult (*)(CUdeviceptr);
  const std::pair<const char*, Free> frees[] = {
      {"cuMemFree", [](CUdeviceptr address) { return cuMemFree(address); }},
      {"cuMemFreeHost", [](CUdeviceptr address) { return cuMemFreeHost(reinterpret_cast<void*>(address)); }},
  };
  for (const auto& [name, release] : frees) {
    CUdeviceptr address = 0;
    void* pinned = nullptr;
    ASSERT_EQ(cuMemAlloc(&address, 10), CUDA_SUCCESS);
    ASSERT_EQ(cuMemHostAlloc(&pinned, 10, 0), CUDA_SUCCESS);
    Gate gate(stream_);
    ASSERT_EQ(cuMemcpyHtoDAsync(address, pinned, 10, stream_), CUDA_SUCCESS);
    const bool of_device = std::string(name) == "cuMemFree";
    const int64_t calls = simgpu_calls(name);
    std::promise<CUresult> done;
    std::future<CUresult> freed = done.get_future();
    std::thread freer([&, release = release] {
      cuCtxSetCurrent(context_);
      done.set_value(release(of_device ? address : reinterpret_cast<CUdeviceptr>(pinned)));
    });
    WaitForCall(name, calls + 1);
    size_t size = 0;
    EXPECT_EQ(cuMemGetInfo(&size, &size), CUDA_SUCCESS) << "others go on meanwhile";
    const auto now = freed.wait_for(std::chrono::seconds(0));  // clock: a look, which does not wait
    EXPECT_EQ(now, std::future_status::timeout) << name << " does not wait";
    gate.Open();
    EXPECT_EQ(freed.get(), CUDA_SUCCESS) << name;
    freer.join();
    EXPECT_EQ(of_device ? cuMemFreeHost(pinned) : cuMemFree(address), CUDA_SUCCESS);
  }
}

TEST_F(Driver, AGraphThatUsesFreedMemoryIsWrong) {
  CUdeviceptr address = 0;
  CUgraph graph = nullptr;
  CUgraphExec executable = nullptr;
  ASSERT_EQ(cuMemAlloc(&address, 10), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), CUDA_SUCCESS);
  EXPECT_EQ(cuMemcpyHtoDAsync(address, pinned_, 10, stream_), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamEndCapture(stream_, &graph), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphInstantiateWithFlags(&executable, graph, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFree(address), CUDA_SUCCESS);
  EXPECT_EQ(cuGraphLaunch(executable, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  violations_ = 1;
  EXPECT_EQ(cuGraphExecDestroy(executable), CUDA_SUCCESS);
  EXPECT_EQ(cuGraphDestroy(graph), CUDA_SUCCESS);
}

// --- captures ---

TEST_F(Driver, UnsafeCallsEndTheCaptureOfTheirThread) {
  CUevent event = nullptr;
  CUstream other = nullptr;
  ASSERT_EQ(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  const auto in_capture = [&](const std::function<void()>& call, CUresult copied, CUresult ended) {
    ASSERT_EQ(cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), CUDA_SUCCESS);
    call();
    EXPECT_EQ(cuMemcpyHtoDAsync(memory_, pinned_, 10, stream_), copied);
    auto* graph = reinterpret_cast<CUgraph>(this);
    EXPECT_EQ(cuStreamEndCapture(stream_, &graph), ended);
    EXPECT_EQ(graph == nullptr, ended != CUDA_SUCCESS);
    if (graph != nullptr) {
      EXPECT_EQ(cuGraphDestroy(graph), CUDA_SUCCESS);
    }
  };
  CUdeviceptr address = 0;
  void* pinned = nullptr;
  const std::pair<const char*, std::function<CUresult()>> unsafe[] = {
      {"cuMemAlloc", [&] { return cuMemAlloc(&address, 10); }},
      {"cuMemFree", [&] { return cuMemFree(memory_); }},
      {"cuMemHostAlloc", [&] { return cuMemHostAlloc(&pinned, 10, 0); }},
      {"cuMemFreeHost", [&] { return cuMemFreeHost(pinned_); }},
      {"cuStreamSynchronize", [&] { return cuStreamSynchronize(stream_); }},
      {"cuStreamSynchronize of another", [&] { return cuStreamSynchronize(other); }},
      {"cuEventSynchronize", [&] { return cuEventSynchronize(event); }},
      {"cuCtxSynchronize", [&] { return cuCtxSynchronize(); }},
  };
  for (const auto& [name, call] : unsafe) {
    SCOPED_TRACE(name);
    in_capture([&, of = call] { EXPECT_EQ(of(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED); },
               CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    EXPECT_EQ(OnDevice() != nullptr, true);
    memset(pinned_, 7, kSize);  // it is there still
  }
  size_t size = 0;
  in_capture([&] { EXPECT_EQ(cuMemGetInfo(&size, &size), CUDA_SUCCESS); }, CUDA_SUCCESS, CUDA_SUCCESS);
  in_capture(
      [&] {
        std::thread([&] {
          EXPECT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
          EXPECT_EQ(cuMemAlloc(&address, 10), CUDA_SUCCESS);
          EXPECT_EQ(cuMemFree(address), CUDA_SUCCESS);
          EXPECT_EQ(cuStreamSynchronize(other), CUDA_SUCCESS);
        }).join();
      },
      CUDA_SUCCESS, CUDA_SUCCESS);
  // but for what waits for the stream that is captured
  const std::function<CUresult()> waits[] = {[] { return cuCtxSynchronize(); },
                                             [&] { return cuStreamSynchronize(stream_); }};
  for (const auto& wait : waits) {
    in_capture(
        [&] {
          std::thread([&] {
            EXPECT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
            EXPECT_EQ(wait(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
          }).join();
        },
        CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    ++violations_;
  }
  EXPECT_EQ(cuStreamDestroy(other), CUDA_SUCCESS);
  EXPECT_EQ(cuEventDestroy(event), CUDA_SUCCESS);
}

// --- pinned memory ---

TEST_F(Driver, PinningTakesTimeAndHoldsNobodyUp) {
  simgpu_pin(int64_t{600} * 1000 * 1000);  // ten minutes a MiB
  const int64_t calls = simgpu_calls("cuMemHostAlloc");
  void* pinned = nullptr;
  std::promise<CUresult> done;
  std::future<CUresult> made = done.get_future();
  std::thread maker([&] {
    cuCtxSetCurrent(context_);
    done.set_value(cuMemHostAlloc(&pinned, 1 << 20, 0));
  });
  WaitForCall("cuMemHostAlloc", calls + 1);
  CUdeviceptr address = 0;
  EXPECT_EQ(cuMemAlloc(&address, 10), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFree(address), CUDA_SUCCESS);
  EXPECT_EQ(cuMemcpyHtoDAsync(memory_, pinned_, 10, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  const auto now = made.wait_for(std::chrono::seconds(0));  // clock: a look, which does not wait
  EXPECT_EQ(now, std::future_status::timeout);
  simgpu_pin(0);
  EXPECT_EQ(made.get(), CUDA_SUCCESS);
  maker.join();
  EXPECT_EQ(cuMemFreeHost(pinned), CUDA_SUCCESS);
}

// --- kernels ---

TEST_F(Driver, AKernelRunsOverItsGridAndNoMore) {
  constexpr int kSide = 64;
  constexpr size_t kPlane = sizeof(float) * kSide * kSide;
  struct Memory {
    trtdet_block block;
    trtdet_picture picture;
    unsigned char pixels[3 * kSide * kSide];
    float input[3 * kSide * kSide];
  };
  CUdeviceptr address = 0;
  ASSERT_EQ(cuMemAlloc(&address, sizeof(Memory)), CUDA_SUCCESS);
  auto& memory = *static_cast<Memory*>(simgpu_host_pointer(address, sizeof(Memory)));
  memory = {};
  memory.picture.pixels = address + offsetof(Memory, pixels);
  memory.picture.pitch = sizeof memory.pixels / kSide;
  memory.picture.width = memory.picture.height = kSide;
  memory.picture.resized_width = memory.picture.resized_height = kSide;
  memory.picture.step_x = memory.picture.step_y = 1;
  memset(memory.pixels, 255, sizeof memory.pixels);
  memory.block.letterbox.pictures = address + offsetof(Memory, picture);
  memory.block.letterbox.input = address + offsetof(Memory, input);
  memory.block.letterbox.count = 1;
  memory.block.letterbox.width = memory.block.letterbox.height = kSide;
  memory.block.letterbox.range = 1;

  const uint32_t image[] = {0xba55ed50};
  CUmodule module = nullptr;
  CUfunction kernel = nullptr;
  ASSERT_EQ(cuModuleLoadData(&module, image), CUDA_SUCCESS);
  ASSERT_EQ(cuModuleGetFunction(&kernel, module, "trtdet_letterbox_kernel"), CUDA_SUCCESS);
  void* parameters[] = {&address};
  const auto launch = [&](unsigned int x, unsigned int y, unsigned int z, unsigned int block_x, unsigned int block_y,
                          unsigned int block_z) {
    memset(memory.input, 0, 3 * kPlane);
    return cuLaunchKernel(kernel, x, y, z, block_x, block_y, block_z, 0, stream_, parameters, nullptr);
  };
  const auto at = [&](int x, int y) { return memory.input[y * kSide + x]; };

  EXPECT_EQ(launch(2, 8, 1, 32, 8, 1), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  EXPECT_EQ(at(0, 0), 1);
  EXPECT_EQ(at(63, 63), 1);
  EXPECT_EQ(launch(1, 4, 1, 32, 8, 1), CUDA_SUCCESS);  // a quarter
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  EXPECT_EQ(at(31, 31), 1);
  EXPECT_EQ(at(32, 31), 0);
  EXPECT_EQ(at(31, 32), 0);
  EXPECT_EQ(launch(3, 9, 2, 32, 8, 1), CUDA_SUCCESS);  // more than there is to do
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  EXPECT_EQ(at(63, 63), 1);
  const unsigned int wrong[][6] = {{0, 1, 1, 32, 8, 1},
                                   {1, 0, 1, 32, 8, 1},
                                   {1, 1, 0, 32, 8, 1},
                                   {1, 1, 1, 0, 8, 1},
                                   {1, 65536, 1, 32, 8, 1},
                                   {1, 1, 65536, 1, 1, 1},
                                   {1, 1, 1, 1025, 1, 1},
                                   {1, 1, 1, 1, 1, 65},
                                   {1, 1, 1, 32, 16, 1} /* over the kernel's launch bounds */,
                                   {0x80000000, 1, 1, 1, 1, 1},
                                   {1, 1, 1, 65536, 65536, 1} /* 0 threads in 32 bits */};
  for (const auto& w : wrong) {
    EXPECT_EQ(launch(w[0], w[1], w[2], w[3], w[4], w[5]), CUDA_ERROR_INVALID_VALUE) << w[0] << " " << w[1];
  }
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  EXPECT_EQ(at(0, 0), 0);

  memset(memory.input, 0, 3 * kPlane);
  simgpu_fault(0, 1, CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(launch(2, 8, 1, 32, 8, 1), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(at(63, 31), 1) << "half of the blocks";
  EXPECT_EQ(at(0, 32), 0);
  simgpu_lose(0, 0);
  EXPECT_EQ(cuModuleUnload(module), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFree(address), CUDA_SUCCESS);
}

}  // namespace
