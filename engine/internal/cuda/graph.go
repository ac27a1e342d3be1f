package cuda

// #include <cuda.h>
import "C"

import (
	"errors"
	"unsafe"
)

// Graph is work on a stream, recorded once and launched as one.
type Graph struct {
	device     *Device
	executable C.CUgraphExec
}

// Capture records what add puts into the stream instead of doing it. It has to
// be called inside the device's Do.
func (s *Stream) Capture(add func() error) (*Graph, error) {
	stream := s.c()
	if err := failed("cuStreamBeginCapture", C.cuStreamBeginCapture(stream, C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)); err != nil {
		return nil, err
	}
	s.capturing = true
	added := add()
	s.capturing = false
	var graph C.CUgraph
	if err := errors.Join(added, failed("cuStreamEndCapture", C.cuStreamEndCapture(stream, &graph))); err != nil {
		if graph != nil {
			C.cuGraphDestroy(graph)
		}
		return nil, err
	}
	g := &Graph{device: s.device}
	err := failed("cuGraphInstantiate", C.cuGraphInstantiateWithFlags(&g.executable, graph, 0))
	if err := errors.Join(err, failed("cuGraphDestroy", C.cuGraphDestroy(graph))); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// Replay does again what the graph has recorded.
func (s *Stream) Replay(g *Graph) error {
	return failed("cuGraphLaunch", C.cuGraphLaunch(g.executable, s.c()))
}

func (s *Stream) c() C.CUstream { return (C.CUstream)(unsafe.Pointer(s.stream.C())) }

// Close frees the graph. It is safe to call twice, not while it is replayed.
func (g *Graph) Close() error {
	if g.executable == nil {
		return nil
	}
	executable := g.executable
	g.executable = nil
	return g.device.Do(func() error { return failed("cuGraphExecDestroy", C.cuGraphExecDestroy(executable)) })
}
