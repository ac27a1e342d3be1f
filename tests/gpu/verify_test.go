package gpu

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/trtdet/trtdet/engine"
	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/tests/simgpu"
)

// TestVerify holds engines to the file they were built from, and to another.
func TestVerify(t *testing.T) {
	all := pictures(t)
	other := filepath.Join(models, "heads", "decoupled.onnx")
	for _, c := range []struct {
		name, against string
		half, differs bool
	}{
		{"float", carried, false, false}, {"half", carried, true, false}, {"another file's", other, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := engine.BuildOptions{Height: 256, Width: 256, Half: c.half, Batch: engine.BatchRange{Min: 1, Opt: 4, Max: 4}}
			plan := build(t, carried, o)
			simgpu.CheckClean(t)
			v, err := engine.Verify(t.Context(), c.against, plan, model.Hints{}, all)
			if c.differs {
				if err == nil {
					err = v.Err()
				}
				if !errors.Is(err, engine.ErrDiffers) {
					t.Fatalf("%+v, %v", v, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Err(); err != nil || v.Pictures != len(all) || v.Detections < len(all) || v.Maps <= 0 == c.half {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
}
