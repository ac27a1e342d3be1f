/*
 * trtdet.h: TensorRT behind a C ABI. Here is what builds plans; trtdet_engine.h runs them.
 *
 * One program holds several TensorRTs ("flavors"): the wrapper is compiled once
 * per flavor and finds its libraries with dlopen, so nothing of NVIDIA's is
 * linked. A handle knows its flavor; every call below works on all of them.
 *
 * Errors    Every call that can fail returns trtdet_error*: NULL is success.
 *           The caller frees it with trtdet_error_free. Out parameters are
 *           written on success only. No call throws, exits or keeps state per
 *           thread, so calls may move between threads freely.
 * Handles   *_free(NULL) does nothing; freeing one handle twice is undefined.
 *           A handle keeps alive what it was made from, so handles may be freed
 *           in any order: a parent's memory goes when its last child is freed.
 * Strings   UTF-8, NUL-terminated. A string given is copied before the call
 *           returns. A string returned belongs to the handle it came from.
 * Threads   A library may be used from any threads at once. A builder with its
 *           networks, and a configuration, by one thread at a time.
 */
#ifndef TRTDET_H_
#define TRTDET_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define TRTDET_NOEXCEPT noexcept
extern "C" {
#else
#define TRTDET_NOEXCEPT
#endif

/* Raised whenever a declaration in this file, or in trtdet_engine.h, changes its meaning. */
#define TRTDET_ABI_VERSION 4

/* Most dimensions a tensor can have (nvinfer1::Dims::MAX_DIMS). */
#define TRTDET_MAX_RANK 8

/* \return TRTDET_ABI_VERSION of the compiled library; unlike this file's own, a caller must refuse to go on. */
uint32_t trtdet_abi_version(void) TRTDET_NOEXCEPT;

/* ---- errors ---------------------------------------------------------------------------------------------- */

typedef enum trtdet_code {
  TRTDET_OK = 0,          /* of no error (NULL) */
  TRTDET_INVALID = 1,     /* an argument is null or contradicts the network; the message says which */
  TRTDET_LIBRARY = 2,     /* a library cannot be loaded, or lacks a symbol */
  TRTDET_VERSION = 3,     /* the library is of another flavor, or older than what is asked of it */
  TRTDET_NO_DRIVER = 4,   /* no NVIDIA driver, or no GPU, where this flavor cannot do without */
  TRTDET_PARSE = 5,       /* the ONNX parser refused the file */
  TRTDET_BUILD = 6,       /* the builder made no plan */
  TRTDET_CANCELED = 7,    /* the progress callback asked to stop */
  TRTDET_UNSUPPORTED = 8, /* this flavor cannot do what was asked */
  TRTDET_MEMORY = 9,      /* out of host memory */
  TRTDET_INTERNAL = 10,   /* anything else; a bug here or in TensorRT */
  TRTDET_PLAN = 11,       /* the plan is damaged, or made for another TensorRT or another GPU */
  TRTDET_RUN = 12         /* TensorRT refused to run the engine */
} trtdet_code;

typedef struct trtdet_error trtdet_error;

trtdet_code trtdet_error_code(const trtdet_error* error) TRTDET_NOEXCEPT;
/* \return one sentence, valid until the error is freed. */
const char* trtdet_error_message(const trtdet_error* error) TRTDET_NOEXCEPT;
/* \return what TensorRT logged as errors during the failed call, one line each, "" for none; valid until freed. */
const char* trtdet_error_log(const trtdet_error* error) TRTDET_NOEXCEPT;
void trtdet_error_free(trtdet_error* error) TRTDET_NOEXCEPT;

/* ---- libraries ------------------------------------------------------------------------------------------- */

typedef enum trtdet_flavor {
  TRTDET_FLAVOR_RTX1 = 1, /* TensorRT-RTX 1.x */
  TRTDET_FLAVOR_10 = 10,  /* TensorRT 10 */
  TRTDET_FLAVOR_11 = 11   /* TensorRT 11 */
} trtdet_flavor;

/* \return the version of the headers that a flavor was compiled with ("10.16.0.72"), NULL for an unknown flavor. */
const char* trtdet_flavor_headers(trtdet_flavor flavor) TRTDET_NOEXCEPT;

/*
 * Asks the NVIDIA driver (libcuda.so.1, cuInit, cuDeviceGetCount) whether there is a GPU.
 * \return NULL when there is one, TRTDET_NO_DRIVER saying what is missing otherwise.
 */
trtdet_error* trtdet_driver_check(void) TRTDET_NOEXCEPT;

typedef struct trtdet_library trtdet_library;

/*
 * Loads TensorRT and its ONNX parser with RTLD_LOCAL. Their code stays mapped after the handle is freed (they do not
 * survive dlclose); loading the same files again is cheap.
 * \param path, parser_path  the two shared libraries; both of the same release
 * \param out  freed by trtdet_library_free
 */
trtdet_error* trtdet_library_open(trtdet_flavor flavor, const char* path, const char* parser_path,
                                  trtdet_library** out) TRTDET_NOEXCEPT;
/* \return what the library says of itself, "1.7.1.116"; valid until the library is freed. */
const char* trtdet_library_version(const trtdet_library* library) TRTDET_NOEXCEPT;
void trtdet_library_free(trtdet_library* library) TRTDET_NOEXCEPT;

/* ---- builder and network --------------------------------------------------------------------------------- */

typedef enum trtdet_severity { /* as nvinfer1::ILogger::Severity */
                               TRTDET_LOG_INTERNAL_ERROR = 0,
                               TRTDET_LOG_ERROR = 1,
                               TRTDET_LOG_WARNING = 2,
                               TRTDET_LOG_INFO = 3,
                               TRTDET_LOG_VERBOSE = 4
} trtdet_severity;

/*
 * Where TensorRT's log goes. CUDA's complaints about a missing driver, which come with nearly every call where there
 * is none, arrive as TRTDET_LOG_VERBOSE.
 */
typedef struct trtdet_logger {
  void* context;
  /* Called from any thread, also several at once; message is valid during the call. NULL for no log. */
  void (*log)(void* context, trtdet_severity severity, const char* message);
  /* Called once, when log will not be called again; also when the call given the logger fails. May be NULL. */
  void (*release)(void* context);
} trtdet_logger;

typedef struct trtdet_builder trtdet_builder;

/*
 * \param logger  copied; may be NULL
 * \param out  freed by trtdet_builder_free
 * \return TRTDET_NO_DRIVER from TensorRT 10 and 11 where there is no GPU; TensorRT-RTX builds without one
 */
trtdet_error* trtdet_builder_create(trtdet_library* library, const trtdet_logger* logger,
                                    trtdet_builder** out) TRTDET_NOEXCEPT;
void trtdet_builder_free(trtdet_builder* builder) TRTDET_NOEXCEPT;

typedef struct trtdet_network trtdet_network;

typedef enum trtdet_dtype { /* as nvinfer1::DataType */
                            TRTDET_FLOAT32 = 0,
                            TRTDET_FLOAT16 = 1,
                            TRTDET_INT8 = 2,
                            TRTDET_INT32 = 3,
                            TRTDET_BOOL = 4,
                            TRTDET_UINT8 = 5,
                            TRTDET_FLOAT8_E4M3 = 6,
                            TRTDET_BFLOAT16 = 7,
                            TRTDET_INT64 = 8,
                            TRTDET_INT4 = 9,
                            TRTDET_FLOAT4_E2M1 = 10,
                            TRTDET_FLOAT8_E8M0 = 11
} trtdet_dtype;

typedef enum trtdet_role { TRTDET_INPUT = 0, TRTDET_OUTPUT = 1 } trtdet_role;

typedef struct trtdet_tensor {
  const char* name; /* valid until the network is freed */
  trtdet_dtype dtype;
  int32_t rank;
  int64_t dims[TRTDET_MAX_RANK]; /* -1 = known at run time only */
} trtdet_tensor;

/*
 * Parses an ONNX file into a strongly typed network. External data is resolved against the file's folder.
 * The parser may crash or never return on a file that was made to do that: call it in a process that can be killed.
 * \param out  freed by trtdet_network_free
 * \return TRTDET_PARSE with the node that was refused; also for a file without inputs or outputs (an empty one)
 */
trtdet_error* trtdet_network_parse(trtdet_builder* builder, const char* onnx_path,
                                   trtdet_network** out) TRTDET_NOEXCEPT;
int32_t trtdet_network_tensor_count(const trtdet_network* network, trtdet_role role) TRTDET_NOEXCEPT;
/* \param index  in the file's order, which is no promise: tell tensors by name */
trtdet_error* trtdet_network_tensor(const trtdet_network* network, trtdet_role role, int32_t index,
                                    trtdet_tensor* out) TRTDET_NOEXCEPT;
void trtdet_network_free(trtdet_network* network) TRTDET_NOEXCEPT;

/* ---- build ----------------------------------------------------------------------------------------------- */

typedef struct trtdet_config trtdet_config;

/* An empty configuration, TensorRT's own defaults; of no flavor, may serve many builds. \param out  trtdet_config_free
 */
trtdet_error* trtdet_config_create(trtdet_config** out) TRTDET_NOEXCEPT;
void trtdet_config_free(trtdet_config* config) TRTDET_NOEXCEPT;
/*
 * The shapes that an input may have in one optimization profile.
 * \param profile  0 for the first; profiles are numbered without gaps
 * \param min, opt, max  rank numbers each; min <= opt <= max everywhere, or TRTDET_INVALID here and now
 */
trtdet_error* trtdet_config_shape(trtdet_config* config, int32_t profile, const char* input, int32_t rank,
                                  const int64_t* min, const int64_t* opt, const int64_t* max) TRTDET_NOEXCEPT;
/* Most device memory, in bytes, that one layer may use while the plan runs. */
trtdet_error* trtdet_config_workspace(trtdet_config* config, uint64_t bytes) TRTDET_NOEXCEPT;
/* Adds a compute capability (75 for 7.5) that the plan must run on. TensorRT-RTX only; none = RTX's choice, from 80 up.
 */
trtdet_error* trtdet_config_target(trtdet_config* config, int32_t compute_capability) TRTDET_NOEXCEPT;
/* Starts from this timing cache (copied); size 0 starts an empty one. TensorRT-RTX has none and ignores it. */
trtdet_error* trtdet_config_timing_cache(trtdet_config* config, const void* data, size_t size) TRTDET_NOEXCEPT;
/* 0 (fast build) to 5 (fast plan). TensorRT-RTX ignores it. */
trtdet_error* trtdet_config_optimization_level(trtdet_config* config, int32_t level) TRTDET_NOEXCEPT;

/*
 * Called from TensorRT's threads, never two at once: when a phase starts (step 0), after each step, and when the phase
 * ends (done != 0). Phases nest: parent is the enclosing phase or NULL. Names are valid during the call.
 * \return 0 to cancel the build at its next step, anything else to go on
 */
typedef int32_t (*trtdet_progress)(void* context, const char* phase, const char* parent, int32_t step, int32_t steps,
                                   int32_t done);

typedef struct trtdet_plan trtdet_plan;

/*
 * Builds the serialized plan. A network can be built more than once.
 * \param progress  may be NULL; not called after the build returns
 * \param out  freed by trtdet_plan_free
 * \return TRTDET_INVALID when config does not fit the network (checked before TensorRT sees it), TRTDET_CANCELED,
 *         TRTDET_UNSUPPORTED for targets that this flavor refuses, TRTDET_BUILD with TensorRT's reason in the log
 */
trtdet_error* trtdet_network_build(trtdet_network* network, const trtdet_config* config, trtdet_progress progress,
                                   void* progress_context, trtdet_plan** out) TRTDET_NOEXCEPT;
/* \return the plan's bytes, *size of them; valid until the plan is freed. */
const void* trtdet_plan_data(const trtdet_plan* plan, size_t* size) TRTDET_NOEXCEPT;
/* \return the timing cache after the build, NULL and 0 where none was asked for or the flavor has none; valid likewise.
 */
const void* trtdet_plan_timing_cache(const trtdet_plan* plan, size_t* size) TRTDET_NOEXCEPT;
void trtdet_plan_free(trtdet_plan* plan) TRTDET_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif /* TRTDET_H_ */
