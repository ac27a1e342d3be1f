/*
 * trtdet_engine.h: running plans. Errors, handles, strings and flavors are as trtdet.h says.
 *
 * Devices   An engine lives in the CUDA context that was current when it was loaded, and everything below but the
 *           *_free calls needs that context to be current on the calling thread.
 * Threads   An engine may be used from any threads at once, a context by one at a time.
 */
#ifndef TRTDET_ENGINE_H_
#define TRTDET_ENGINE_H_

#include "trtdet.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct trtdet_engine trtdet_engine;

/*
 * Makes a plan ready to run. The plan is not needed afterwards.
 * \param logger  copied; may be NULL
 * \param cache, cache_size  what trtdet_engine_cache gave for this plan on this GPU, or NULL and 0. One that does not
 *        fit is a warning in the log, not an error. Only TensorRT-RTX has a cache.
 * \param out  freed by trtdet_engine_free
 * \return TRTDET_NO_DRIVER without a GPU; TRTDET_PLAN for a plan that this TensorRT or this GPU cannot run
 */
trtdet_error* trtdet_engine_load(trtdet_library* library, const trtdet_logger* logger, const void* plan, size_t size,
                                 const void* cache, size_t cache_size, trtdet_engine** out) TRTDET_NOEXCEPT;
int32_t trtdet_engine_tensor_count(const trtdet_engine* engine, trtdet_role role) TRTDET_NOEXCEPT;
/* \param index  in the plan's order, which is no promise: tell tensors by name */
trtdet_error* trtdet_engine_tensor(const trtdet_engine* engine, trtdet_role role, int32_t index,
                                   trtdet_tensor* out) TRTDET_NOEXCEPT;
int32_t trtdet_engine_profile_count(const trtdet_engine* engine) TRTDET_NOEXCEPT;
/*
 * The shapes that an input may have in a profile.
 * \param min, opt, max  TRTDET_MAX_RANK numbers each, of which the input's rank are written
 */
trtdet_error* trtdet_engine_profile_shape(const trtdet_engine* engine, int32_t profile, const char* input, int64_t* min,
                                          int64_t* opt, int64_t* max) TRTDET_NOEXCEPT;
/* How many bytes of device memory a context of a profile needs for its activations. */
int64_t trtdet_engine_memory_size(const trtdet_engine* engine, int32_t profile) TRTDET_NOEXCEPT;
/*
 * The kernels that TensorRT-RTX has compiled so far for this GPU; trtdet_plan_data has the bytes, none from others.
 * \param out  freed by trtdet_plan_free
 */
trtdet_error* trtdet_engine_cache(const trtdet_engine* engine, trtdet_plan** out) TRTDET_NOEXCEPT;
void trtdet_engine_free(trtdet_engine* engine) TRTDET_NOEXCEPT;

/*
 * One run of an engine at a time. A context from which a CUDA graph was captured must not be changed any more: whoever
 * replays graphs of several shapes has a context for each. Contexts that never run at once may share their memory.
 */
typedef struct trtdet_context trtdet_context;

/*
 * \param profile  0 for the first
 * \param stream  CUstream on which the profile is chosen; done when the call returns
 * \param out  freed by trtdet_context_free
 */
trtdet_error* trtdet_context_create(trtdet_engine* engine, int32_t profile, uint64_t stream,
                                    trtdet_context** out) TRTDET_NOEXCEPT;
/* \return TRTDET_INVALID for a shape outside the profile. */
trtdet_error* trtdet_context_set_shape(trtdet_context* context, const char* input, int32_t rank,
                                       const int64_t* dims) TRTDET_NOEXCEPT;
/*
 * How many bytes of device memory the context needs for its activations with the inputs' shapes that are set, which may
 * be less than trtdet_engine_memory_size, for the largest shapes of its profile.
 */
trtdet_error* trtdet_context_memory_size(trtdet_context* context, int64_t* size) TRTDET_NOEXCEPT;
/*
 * Gives the context memory for its activations, before it runs; where it needs none it may be left out.
 * \param memory, size  device memory, 256-byte aligned, that stays while the context may run
 */
trtdet_error* trtdet_context_set_memory(trtdet_context* context, uint64_t memory, int64_t size) TRTDET_NOEXCEPT;
/* As trtdet_engine_tensor, with the dims that follow from the inputs' shapes; \return TRTDET_INVALID before they are
 * set.
 */
trtdet_error* trtdet_context_tensor(const trtdet_context* context, trtdet_role role, int32_t index,
                                    trtdet_tensor* out) TRTDET_NOEXCEPT;
/* \param address  device memory, 256-byte aligned, that stays while the context may use it */
trtdet_error* trtdet_context_set_address(trtdet_context* context, const char* tensor, uint64_t address) TRTDET_NOEXCEPT;
/* Whether the next run may be captured into a CUDA graph on a CUstream: 1 or 0. */
int32_t trtdet_context_capturable(const trtdet_context* context, uint64_t stream) TRTDET_NOEXCEPT;
/* Adds one run to a CUstream. \return TRTDET_RUN with TensorRT's reason in the log */
trtdet_error* trtdet_context_enqueue(trtdet_context* context, uint64_t stream) TRTDET_NOEXCEPT;
/* Not while a run is under way. */
void trtdet_context_free(trtdet_context* context) TRTDET_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif /* TRTDET_ENGINE_H_ */
