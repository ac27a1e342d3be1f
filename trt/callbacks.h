/* Hands Go's callbacks to trtdet.h: C cannot take a Go function's address, and a
 * cgo.Handle is a number where the interface wants a pointer. */
#ifndef TRTDET_TRT_CALLBACKS_H_
#define TRTDET_TRT_CALLBACKS_H_

#include <stdint.h>

#include "trtdet.h"
#include "trtdet_engine.h"

/* logger is a cgo.Handle of a *slog.Logger, deleted when no line can come any more; 0 for no log. */
trtdet_error* create_builder_for_go(trtdet_library* library, uintptr_t logger, trtdet_builder** out);

/* logger as above. */
trtdet_error* load_engine_for_go(trtdet_library* library, uintptr_t logger, const void* plan, size_t size,
                                 const void* cache, size_t cache_size, trtdet_engine** out);

/* watch is a cgo.Handle of a *watch; the caller deletes it after the call. */
trtdet_error* build_for_go(trtdet_network* network, const trtdet_config* config, uintptr_t watch, trtdet_plan** out);

#endif
