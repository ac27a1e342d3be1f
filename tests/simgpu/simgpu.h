/*
 * How tests steer the simulated GPU. A program under test knows nothing of it: it loads libcuda.so.1 by the path in
 * TRTDET_LIBCUDA, and the test that runs in the same process loads the same file for these.
 */
#ifndef TRTDET_TESTS_SIMGPU_H_
#define TRTDET_TESTS_SIMGPU_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Has the nth call (1 is the next) of a name, such as cuMemAlloc, fail with a CUresult; "" forgets all of these. */
void simgpu_fail(const char* call, int64_t nth, int status);
/* The same, and every call after that too. */
void simgpu_fail_from(const char* call, int64_t nth, int status);
/* Returns how often a call of a name was made since the process began. */
int64_t simgpu_calls(const char* call);
/* Writes the names of all calls made so far, each behind the other with a zero between them, into size bytes. */
void simgpu_called(char* names, int64_t size);

typedef struct simgpu_counts {
  int64_t contexts, allocations, pinned, streams, events, modules, graphs, executables;
  int64_t objects;    /* of the simulated TensorRT */
  int64_t violations; /* what must not be done and was, since the process began */
} simgpu_counts;

simgpu_counts simgpu_count(void);
/*
 * Takes a device away: every call that uses it fails from now on with a CUresult, in contexts that are made anew too,
 * and nothing that its streams have is done any more. 0 makes of it what a new process would find.
 */
void simgpu_lose(int device, int status);
/*
 * Has a device fail while it works, as after a kernel that does what it must not: the nth copy, kernel or network (1 is
 * the next) of all its streams is done by half, what comes behind it not at all, and the next call that waits for the
 * device says so. From then on all is as after simgpu_lose.
 */
void simgpu_fault(int device, int64_t nth, int status);
/* Has pinning, and letting go of, a MiB of host memory take so long, also where it is under way. */
void simgpu_pin(int64_t microseconds);

/* For the simulated NVML: what a device is. A part's UUID ends with its number instead. Returns 0 where there is none.
 */
typedef struct simgpu_device {
  unsigned char uuid[16]; /* of the whole GPU */
  int parts;              /* that MIG made of it; the first is the device */
  uint64_t memory, used;  /* bytes of it all, and of them this process's */
} simgpu_device;

int simgpu_describe(int device, simgpu_device* is);

/*
 * Of libnvidia-ml.so.1, which stands beside. A GPU has the number of its device here, though NVML counts the other way
 * round: how busy it is, in percent, and how many bytes others use; SIMGPU_UTILIZATION=50,0,30 says the first of the
 * GPUs where the process begins.
 */
void simgpu_nvml_load(int device, int utilization, uint64_t used);
/* Reports a critical error (Xid) of a GPU. */
void simgpu_nvml_xid(int device, uint64_t xid);
/* Returns how many event sets live, and how often NVML is to be shut down still. */
int64_t simgpu_nvml_live(void);

/* For the simulated TensorRT: whether a CUstream is being captured. */
int simgpu_capturing(void* stream);
/* For the simulated TensorRT: writes down what a program must not do. */
void simgpu_violation(const char* what);
/* For the simulated TensorRT: counts a call of its own by its name; returns not 0 where it was told to fail. */
int simgpu_enter(const char* call);
/* For the simulated TensorRT: counts its objects; 1 for one that was made, -1 for one that was freed. */
void simgpu_object(int change);
/*
 * For work of the simulated TensorRT: takes away the device whose memory lies at an address, as simgpu_lose does, which
 * a program learns of when it next asks.
 */
void simgpu_fail_device(uint64_t address, int status);

/*
 * For the simulated TensorRT: where the host finds size bytes of a device's memory; NULL, and a violation, where they
 * are not all in one allocation.
 */
void* simgpu_host_pointer(uint64_t address, uint64_t size);

#ifdef __cplusplus
}
#endif

#endif /* TRTDET_TESTS_SIMGPU_H_ */
