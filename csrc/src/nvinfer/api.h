// TensorRT's headers, as the flavor being compiled sees them.
//
// The build compiles this folder once per flavor, each time with other headers
// and with nvinfer1 and nvonnxparser renamed (-Dnvinfer1=nvinfer1_rtx1 ...):
// TensorRT's inline functions would merge otherwise, and call through the wrong
// version's vtables. TRTDET_FLAVOR is the trtdet_flavor, TRTDET_FLAVOR_NAMESPACE
// keeps our own classes apart for the same reason.
#ifndef TRTDET_SRC_NVINFER_API_H_
#define TRTDET_SRC_NVINFER_API_H_

#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <cstdint>

static_assert(NV_TENSORRT_MAJOR == TRTDET_FLAVOR,
              "these TensorRT headers are of another major version than the flavor being compiled: run make setup");

namespace trtdet::TRTDET_FLAVOR_NAMESPACE {

constexpr bool kIsRtx = TRTDET_FLAVOR == 1;

// The symbols taken from the libraries.
using CreateBuilder = void* (*)(void* logger, int32_t version);
using CreateRuntime = void* (*)(void* logger, int32_t version);
using CreateParser = void* (*)(void* network, void* logger, int version);
using LibraryVersion = int32_t (*)();
constexpr const char* kCreateBuilder = "createInferBuilder_INTERNAL";
constexpr const char* kCreateRuntime = "createInferRuntime_INTERNAL";
constexpr const char* kCreateParser = "createNvOnnxParser_INTERNAL";
constexpr const char* kLibraryVersion = "getInferLibVersion";
constexpr const char* kLibraryBuild = "getInferLibBuildVersion";  // optional
constexpr const char* kParserVersion = "getNvOnnxParserVersion";  // optional

}  // namespace trtdet::TRTDET_FLAVOR_NAMESPACE

#endif  // TRTDET_SRC_NVINFER_API_H_
