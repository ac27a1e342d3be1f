// Package imaging reads pictures into RGB pixels, lays them in a network's
// input on the host, draws detections on them and writes them.
//
// It knows decode's boxes and letterbox geometry and nothing of networks,
// devices or models. Whatever a file holds, reading it ends in pixels or in
// an error. All functions may be called from any goroutine; a Picture may be
// read by many at once, and by none while Annotate draws on it.
package imaging
