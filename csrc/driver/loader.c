#include "loader.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void* cuda; /* libcuda.so.1, NULL where it cannot be loaded */
static struct trtdet_driver_state state = {CUDA_ERROR_NO_DEVICE, NULL};
static char missing[512];

static void load_cuda(void) {
  const char* const named = getenv("TRTDET_LIBCUDA");
  const char* const file = named != NULL && *named != '\0' ? named : "libcuda.so.1";
  void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  CUresult (*const init)(unsigned int) = library != NULL ? dlsym(library, "cuInit") : NULL;
  if (init == NULL) {
    const char* const reason = dlerror();
    snprintf(missing, sizeof missing, "%s", reason != NULL ? reason : file);
    state.missing = missing;
    return;
  }
  state.status = init(0);
  if (state.status == CUDA_SUCCESS) cuda = library;
}

const struct trtdet_driver_state* trtdet_driver(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load_cuda);
  return &state;
}

static void* look_up(void* library, struct trtdet_function* function) {
  void* const address = library != NULL ? dlsym(library, function->name) : NULL;
  if (address != NULL) atomic_store_explicit(&function->address, address, memory_order_release);
  return address;
}

void* trtdet_cuda_look_up(struct trtdet_function* function) {
  trtdet_driver();
  return look_up(cuda, function);
}

CUresult trtdet_cuda_missing(void) {
  const int status = trtdet_driver()->status;
  /* the driver is there, so it is too old for this function */
  return status == CUDA_SUCCESS ? CUDA_ERROR_NOT_SUPPORTED : (CUresult)status;
}

/* gorgonia.org/cu calls this before main and ends the process when it fails; the first call of any other starts CUDA.
 */
CUresult cuInit(unsigned int flags) {
  (void)flags;
  return CUDA_SUCCESS;
}

static void* nvml;

static void load_nvml(void) { nvml = dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE); }

void* trtdet_nvml_look_up(struct trtdet_function* function) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load_nvml);
  return look_up(nvml, function);
}

nvmlReturn_t trtdet_nvml_missing(void) {
  return nvml != NULL ? NVML_ERROR_FUNCTION_NOT_FOUND : NVML_ERROR_LIBRARY_NOT_FOUND;
}

const char* nvmlErrorString(nvmlReturn_t result) {
  static struct trtdet_function function = {"nvmlErrorString", NULL};
  const char* (*const call)(nvmlReturn_t) = trtdet_address(&function, trtdet_nvml_look_up);
  return call != NULL ? call(result) : "NVML is not there";
}
