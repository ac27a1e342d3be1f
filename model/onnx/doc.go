// Package onnx reads an ONNX file into a document that can be edited and
// written back without losing anything: fields it does not know are kept, and
// weights stay slices of the file's bytes until somebody replaces them.
//
// Model.Normalize rewrites a model in plainer terms, for those who read graphs:
// no local functions, nodes in order, and more.
//
// It knows the file format (protobuf messages, tensors, external data) and
// graphs as such (who produces and who consumes a name). It must not know what
// a detector is. A Model may be read from several goroutines at once and edited
// from one; hostile files are refused with an error, never with a panic, and
// the memory a parse takes is bounded by the file's size and by Limits.
package onnx
