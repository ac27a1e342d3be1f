// TensorRT's headers name two types of the CUDA runtime and call nothing of it.
// The two are declared here, so that a build needs neither CUDA's runtime
// headers nor the compiler's that those include in turn.
#ifndef TRTDET_SRC_NVINFER_CUDA_CUDA_RUNTIME_API_H_
#define TRTDET_SRC_NVINFER_CUDA_CUDA_RUNTIME_API_H_

using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st*;

#endif  // TRTDET_SRC_NVINFER_CUDA_CUDA_RUNTIME_API_H_
