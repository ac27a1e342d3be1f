package gpu

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/tests/await"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// TestOpenBytes opens an engine from its bytes and its manifest's; what does not
// belong together is refused as it is in files. Nothing is kept beside what has no
// place.
func TestOpenBytes(t *testing.T) {
	onEachTensorRT(t, func(t *testing.T, flavor string) {
		plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256})
		read := func(path string) []byte {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		model, manifest := read(plan), read(engine.ManifestPath(plan))
		picture := pictures(t)[0]
		want, err := open(t, plan, engine.Options{Device: devices(1)}).Detect(t.Context(), picture)
		if err != nil {
			t.Fatal(err)
		}
		simgpu.CheckClean(t)
		t.Chdir(t.TempDir())
		d, err := engine.OpenBytes(t.Context(), model, manifest, &engine.Options{Device: devices(1)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Detect(t.Context(), picture)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "from bytes", got, want)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
			t.Errorf("it leaves %v, %v", left, err)
		}
		other := append([]byte{}, model...)
		other[len(other)-1] ^= 1
		for name, plan := range map[string][]byte{"another": other, "shorter": model[:len(model)-1], "none": nil} {
			if _, err := engine.OpenBytes(t.Context(), plan, manifest, nil); !errors.Is(err, engine.ErrDamaged) {
				t.Errorf("%s plan: %v", name, err)
			}
		}
	})
}

// TestOpenIsGivenUp ends the context while an engine is opened: what was begun
// there is freed.
func TestOpenIsGivenUp(t *testing.T) {
	plan := build(t, carried, engine.BuildOptions{Height: 256, Width: 256})
	open(t, plan, engine.Options{Device: devices(2)}) // what stays for good is there
	simgpu.CheckClean(t)
	before := runtime.NumGoroutine()
	for after := time.Duration(0); after < 20*time.Millisecond; after += 500 * time.Microsecond {
		ctx, cancel := context.WithTimeout(t.Context(), after) // clock: it ends before, within or after, and each is right
		d, err := engine.Open(ctx, plan, &engine.Options{Device: devices(2)})
		if err == nil {
			err = d.Close()
		} else if errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
		if err != nil {
			t.Errorf("given up after %s: %v", after, err)
		}
		cancel()
	}
	await.Until(t, "what was given up has ended", func() bool { return runtime.NumGoroutine() <= before })
}
