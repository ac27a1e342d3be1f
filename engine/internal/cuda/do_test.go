package cuda

import (
	"errors"
	"runtime"
	"testing"

	"gorgonia.org/cu"

	"github.com/trtdet/trtdet/tests/simgpu"
)

// A program that uses CUDA on the same thread finds its own context current
// after Do, whatever came of it, or none where it had none.
func TestDoLeavesTheThreadAsItWas(t *testing.T) {
	simgpu.CheckClean(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	current := func() cu.CUContext {
		t.Helper()
		context, err := cu.CurrentContext()
		if err != nil {
			t.Fatal(err)
		}
		return context
	}
	d, err := OpenDevice(0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	theirs := []cu.CUContext{{}}
	if simgpu.Devices() > 1 {
		other, err := OpenDevice(1)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		theirs = append(theirs, other.context)
	}
	failure := errors.New("failed")
	for _, theirs := range theirs {
		if err := cu.SetCurrentContext(theirs); err != nil {
			t.Fatal(err)
		}
		for _, use := range []func(){
			func() {
				if err := d.Do(func() error { return nil }); err != nil {
					t.Error(err)
				}
			},
			func() {
				if err := d.Do(func() error { return failure }); err != failure {
					t.Error(err)
				}
			},
			func() {
				defer func() { _ = recover() }()
				_ = d.Do(func() error { panic("in the burst") })
			},
			func() { // as a library does that is called there
				if err := d.Do(func() error { return cu.SetCurrentContext(d.context) }); err != nil {
					t.Error(err)
				}
			},
		} {
			use()
			if now := current(); now != theirs {
				t.Errorf("context %v is current, before Do it was %v", now, theirs)
			}
		}
		if err := d.Do(func() error {
			if now := current(); now != d.context {
				t.Errorf("in Do context %v is current, want %v", now, d.context)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	if err := cu.SetCurrentContext(cu.CUContext{}); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkDo(b *testing.B) {
	d, err := OpenDevice(0)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	nothing := func() error { return nil }
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Do(nothing); err != nil {
			b.Fatal(err)
		}
	}
}
