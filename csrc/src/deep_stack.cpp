#include "deep_stack.h"

#include <pthread.h>

#include <cstddef>
#include <exception>
#include <memory>

namespace trtdet {
namespace {

// Address space, not memory: the kernel gives pages as they are touched.
constexpr std::size_t kStackBytes = std::size_t{512} << 20;

struct Job {
  const std::function<void()>* call;
  std::exception_ptr thrown;
};

extern "C" void* RunJob(void* argument) {
  auto* job = static_cast<Job*>(argument);
  try {
    (*job->call)();
  } catch (...) {
    job->thrown = std::current_exception();
  }
  return nullptr;
}

struct DestroyAttributes {
  void operator()(pthread_attr_t* attributes) const noexcept { pthread_attr_destroy(attributes); }
};

}  // namespace

void OnDeepStack(const std::function<void()>& call) {
  Job job{&call, nullptr};
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return call();
  const std::unique_ptr<pthread_attr_t, DestroyAttributes> owner(&attributes);
  pthread_t thread;
  if (pthread_attr_setstacksize(&attributes, kStackBytes) != 0 ||
      pthread_create(&thread, &attributes, RunJob, &job) != 0) {
    return call();
  }
  pthread_join(thread, nullptr);
  if (job.thrown) std::rethrow_exception(job.thrown);
}

}  // namespace trtdet
