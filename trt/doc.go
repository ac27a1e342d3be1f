// Package trt is TensorRT in Go: the libraries found at run time, the builder,
// the networks it parses from ONNX and the plans it makes of them, and the
// engines and contexts that run plans. It knows nothing of detection: no head,
// no anchor, no picture. Nor does it call the CUDA driver: streams and
// addresses are numbers that its caller got elsewhere.
//
// Three TensorRTs are known, called flavors: TensorRT-RTX 1.x, TensorRT 10 and
// TensorRT 11. Nothing of them is linked; [Load] finds one when the program
// runs. TensorRT-RTX builds plans without a GPU, 10 and 11 ask for one.
//
// Package engine builds and runs with this one; the command line takes its names
// of flavors and targets from it. A [Library] and an [Engine] may be used from
// any goroutines at once. A [Builder], its networks and its plans guard
// themselves with a lock: calls from several goroutines are safe and run one
// after the other, and Close waits for the call that runs. A [Context] belongs
// to one goroutine at a time. What a value was made from stays alive under it,
// so values may be closed in any order; every Close may be repeated. Nothing is
// closed by a finalizer.
//
// The ONNX parser may crash or never return on a file that was made to do that.
// A program that must survive such a file builds in a child process.
package trt
