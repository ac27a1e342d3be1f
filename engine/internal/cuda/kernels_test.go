package cuda

import (
	"fmt"
	"os"
	"testing"
	"unsafe"

	"github.com/trtdet/trtdet/engine/internal/kernels"
	"github.com/trtdet/trtdet/engine/internal/kernels/kernelstest"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// machine runs the kernels on a GPU, one call at a time.
type machine struct {
	t      *testing.T
	device *Device
	stream *Stream
	module *Module
	put    []*Buffer
}

func TestMain(m *testing.M) {
	if err := simgpu.Use(2); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func newMachine(t *testing.T) *machine {
	simgpu.CheckClean(t)
	m := &machine{t: t}
	m.device = closedAtEnd(m, must(m, func() (*Device, error) { return OpenDevice(0) }))
	m.stream = closedAtEnd(m, must(m, m.device.NewStream))
	m.module = closedAtEnd(m, must(m, m.device.Load))
	t.Cleanup(m.Free)
	return m
}

func must[T any](m *machine, make func() (T, error)) T {
	made, err := make()
	m.check(err)
	return made
}

func closedAtEnd[T interface{ Close() error }](m *machine, c T) T {
	m.t.Cleanup(func() { m.check(c.Close()) })
	return c
}

func (m *machine) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// run adds to the stream and waits until all is done.
func (m *machine) run(f func() error) {
	m.t.Helper()
	m.check(m.device.Do(func() error {
		if err := f(); err != nil {
			return err
		}
		return m.stream.Mark()
	}))
	m.check(m.stream.Wait())
}

func (m *machine) Put(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	buffer := must(m, func() (*Buffer, error) { return m.device.Alloc(len(b)) })
	m.put = append(m.put, buffer)
	pinned := must(m, func() (*Pinned, error) { return m.device.AllocPinned(len(b)) })
	copy(pinned.Bytes(), b)
	m.run(func() error { return m.stream.CopyIn(buffer.Address(), pinned.Bytes()) })
	m.check(pinned.Close())
	return buffer.Address()
}

func (m *machine) Free() {
	for _, b := range m.put {
		m.check(b.Close())
	}
	m.put = nil
}

func (m *machine) Get(to []byte, from uint64) {
	if len(to) == 0 {
		return
	}
	pinned := must(m, func() (*Pinned, error) { return m.device.AllocPinned(len(to)) })
	m.run(func() error { return m.stream.CopyOut(pinned.Bytes(), from) })
	copy(to, pinned.Bytes())
	m.check(pinned.Close())
}

func (m *machine) Letterbox(block *kernels.Block, width, height, batch int) {
	address := m.Put(unsafe.Slice((*byte)(unsafe.Pointer(block)), unsafe.Sizeof(*block)))
	grid, threads := LetterboxGrid(width, height, batch)
	m.run(func() error { return m.stream.Launch(m.module.Letterbox, grid, threads, address) })
}

func (m *machine) Decode(block *kernels.Block, positions, views, batch int) {
	address := m.Put(unsafe.Slice((*byte)(unsafe.Pointer(block)), unsafe.Sizeof(*block)))
	grid, threads := DecodeGrid(positions, views, batch)
	m.run(func() error { return m.stream.Launch(m.module.Decode, grid, threads, address) })
}

func TestLetterbox(t *testing.T)      { kernelstest.TestLetterbox(t, newMachine(t)) }
func TestDecode(t *testing.T)         { kernelstest.TestDecode(t, newMachine(t)) }
func TestDecodeOverflow(t *testing.T) { kernelstest.TestDecodeOverflow(t, newMachine(t)) }
