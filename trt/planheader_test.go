package trt

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func header() []byte {
	b := make([]byte, PlanHeaderSize)
	copy(b, "vtrt")
	binary.LittleEndian.PutUint32(b[offsetFormat:], 2)
	binary.LittleEndian.PutUint64(b[offsetSize:], 1000)
	copy(b[offsetVersion:], []byte{1, 7, 1, 116})
	binary.LittleEndian.PutUint64(b[offsetMask:], 1|16|64)
	binary.LittleEndian.PutUint64(b[offsetWeights:], 500)
	return b
}

func TestReadPlanHeader(t *testing.T) {
	h, err := ReadPlanHeader(header())
	if err != nil {
		t.Fatal(err)
	}
	if h.Format != 2 || h.Size != 1000 || h.Version != "1.7.1.116" || h.WeightsBytes != 500 || h.CapabilityMask != 81 {
		t.Errorf("%+v", h)
	}
	if len(h.ComputeCapabilities) != 2 || h.ComputeCapabilities[0] != 75 || h.ComputeCapabilities[1] != 120 {
		t.Errorf("capabilities %v", h.ComputeCapabilities)
	}
	for _, c := range []struct {
		name, words string
		damage      func([]byte) []byte
	}{
		{"empty", "0 bytes", func([]byte) []byte { return nil }},
		{"short", "63 bytes", func(b []byte) []byte { return b[:63] }},
		{"magic", "does not start like a plan", func(b []byte) []byte { b[0] = 'x'; return b }},
		{"another TensorRT", "TensorRT 10 or 11", func(b []byte) []byte { copy(b, "ftrt"); return b }},
		{"no size", "contradicts", func(b []byte) []byte { b[offsetSize], b[offsetSize+1] = 1, 0; return b }},
		{"weights", "contradicts", func(b []byte) []byte { b[offsetWeights+7] = 1; return b }},
	} {
		if _, err := ReadPlanHeader(c.damage(header())); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func FuzzReadPlanHeader(f *testing.F) {
	f.Add(header())
	f.Add([]byte("vtrt"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadPlanHeader(b)
		if (h == nil) == (err == nil) {
			t.Errorf("%v and %v", h, err)
		}
	})
}
