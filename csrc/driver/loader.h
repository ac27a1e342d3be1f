/*
 * NVIDIA's driver, found when it is first called: a program that links libcuda.a instead of libcuda.so starts on any
 * machine. stubs.c, which stubs.py writes, defines every function that cuda.h and nvml.h declare; each calls the
 * driver's own, or returns an error where there is none. The symbols are hidden: a library that is loaded later must
 * not take them for the driver.
 */
#ifndef TRTDET_DRIVER_LOADER_H_
#define TRTDET_DRIVER_LOADER_H_

#define __CUDA_API_VERSION_INTERNAL /* cuda.h declares the former versions of its functions too */
#include <cuda.h>
#define NVML_NO_UNVERSIONED_FUNC_DEFS 1 /* as go-nvml has it */
#include <nvml.h>
#include <stdatomic.h>
#include <stddef.h>

#include "driver_state.h"

/* A function of a library; its address is looked up when it is first called. */
struct trtdet_function {
  const char* name;
  _Atomic(void*) address;
};

/* These return NULL where the library or the function is not there. */
void* trtdet_cuda_look_up(struct trtdet_function* function);
void* trtdet_nvml_look_up(struct trtdet_function* function);

static inline void* trtdet_address(struct trtdet_function* function, void* (*look_up)(struct trtdet_function*)) {
  void* const known = atomic_load_explicit(&function->address, memory_order_acquire);
  return known != NULL ? known : look_up(function);
}

/* What a function returns that is not there. */
CUresult trtdet_cuda_missing(void);
nvmlReturn_t trtdet_nvml_missing(void);

/* The names inside begin with stub_, which no parameter of the driver's does. */
#define TRTDET_STUB(library, result, name, parameters, arguments)                                     \
  result name parameters {                                                                            \
    static struct trtdet_function stub_function = {#name, NULL};                                      \
    result(*const stub_call) parameters = trtdet_address(&stub_function, trtdet_##library##_look_up); \
    return stub_call != NULL ? stub_call arguments : trtdet_##library##_missing();                    \
  }
#define CUDA_STUB(name, parameters, arguments) TRTDET_STUB(cuda, CUresult, name, parameters, arguments)
#define NVML_STUB(name, parameters, arguments) TRTDET_STUB(nvml, nvmlReturn_t, name, parameters, arguments)

#endif /* TRTDET_DRIVER_LOADER_H_ */
