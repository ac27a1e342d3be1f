package host

import (
	"runtime"
	"testing"
	"unsafe"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/kernels"
	"github.com/trtdet/trtdet/engine/internal/kernels/kernelstest"
)

// machine runs the kernels here, in memory that the garbage collector keeps.
type machine struct{ pinner runtime.Pinner }

func newMachine(t *testing.T) *machine {
	m := &machine{}
	t.Cleanup(m.Free)
	return m
}

func (m *machine) Free() { m.pinner.Unpin() }

func (m *machine) Put(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	copied := append([]byte(nil), b...)
	m.pinner.Pin(&copied[0])
	return uint64(uintptr(unsafe.Pointer(&copied[0])))
}

func (m *machine) Get(to []byte, from uint64) {
	copy(to, unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&from))), len(to)))
}

func (m *machine) Letterbox(block *kernels.Block, _, _, _ int) { Letterbox(block) }

func (m *machine) Decode(block *kernels.Block, _, views, _ int) { Decode(block, views) }

func TestLetterbox(t *testing.T)      { kernelstest.TestLetterbox(t, newMachine(t)) }
func TestDecode(t *testing.T)         { kernelstest.TestDecode(t, newMachine(t)) }
func TestDecodeOverflow(t *testing.T) { kernelstest.TestDecodeOverflow(t, newMachine(t)) }

// TestCandidate holds the kernel's candidate to Go's, byte for byte.
func TestCandidate(t *testing.T) {
	if kernels.CandidateSize != unsafe.Sizeof(decode.Candidate{}) {
		t.Errorf("the kernel's candidate has %d bytes, Go's %d", kernels.CandidateSize, unsafe.Sizeof(decode.Candidate{}))
	}
}
