#include "callbacks.h"

#include "_cgo_export.h"

static void log_line(void* context, trtdet_severity severity, const char* message) {
  goLogLine((uintptr_t)context, (int)severity, (char*)message);
}

static void release_logger(void* context) { goReleaseLogger((uintptr_t)context); }

static int32_t step(void* context, const char* phase, const char* parent, int32_t done_steps, int32_t steps,
                    int32_t done) {
  return goStep((uintptr_t)context, (char*)phase, (char*)parent, done_steps, steps, done);
}

trtdet_error* create_builder_for_go(trtdet_library* library, uintptr_t logger, trtdet_builder** out) {
  if (logger == 0) return trtdet_builder_create(library, NULL, out);
  const trtdet_logger callbacks = {(void*)logger, log_line, release_logger};
  return trtdet_builder_create(library, &callbacks, out);
}

trtdet_error* load_engine_for_go(trtdet_library* library, uintptr_t logger, const void* plan, size_t size,
                                 const void* cache, size_t cache_size, trtdet_engine** out) {
  const trtdet_logger callbacks = {(void*)logger, log_line, release_logger};
  return trtdet_engine_load(library, logger == 0 ? NULL : &callbacks, plan, size, cache, cache_size, out);
}

trtdet_error* build_for_go(trtdet_network* network, const trtdet_config* config, uintptr_t watch, trtdet_plan** out) {
  return trtdet_network_build(network, config, step, (void*)watch, out);
}
