// Package model reads what a model file says: the facts of an ONNX graph, the
// detection head that can be read off it, class names, and the manifest that
// stands beside an engine. It also makes the edits that trtdet needs, on the
// graph itself, so that every runtime executes the same network: cutting a
// graph that decodes inside back to its raw maps, half precision, and a batch
// that may vary.
//
// It must not know how a network is run: no cgo, no TensorRT, no ONNX Runtime.
// Its functions may be called from any goroutine; a Network belongs to one
// goroutine at a time.
package model
