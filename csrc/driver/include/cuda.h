/*
 * CUDA's cuda.h for gorgonia.org/cu, whose calls are those of CUDA 11 and 12. CUDA 13 gave five of these names to
 * functions with other parameters; here they mean what they meant before. The driver still has both.
 * This folder stands before CUDA's own on the include path (build/env.sh).
 */
#ifndef TRTDET_CUDA_H_
#define TRTDET_CUDA_H_

#include_next <cuda.h>

#if CUDA_VERSION >= 13000

#ifdef __cplusplus
extern "C" {
#endif

#undef cuCtxCreate
#define cuCtxCreate cuCtxCreate_v2
CUresult CUDAAPI cuCtxCreate_v2(CUcontext* context, unsigned int flags, CUdevice device);

#undef cuMemAdvise
CUresult CUDAAPI cuMemAdvise(CUdeviceptr address, size_t count, CUmem_advise advice, CUdevice device);

#undef cuMemPrefetchAsync
CUresult CUDAAPI cuMemPrefetchAsync(CUdeviceptr address, size_t count, CUdevice device, CUstream stream);

#undef cuGraphAddDependencies
CUresult CUDAAPI cuGraphAddDependencies(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to, size_t count);

#undef cuGraphGetEdges
CUresult CUDAAPI cuGraphGetEdges(CUgraph graph, CUgraphNode* from, CUgraphNode* to, size_t* count);

#ifdef __cplusplus
}
#endif

#endif

#endif /* TRTDET_CUDA_H_ */
