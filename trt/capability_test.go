package trt

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

func TestParseComputeCapability(t *testing.T) {
	for text, want := range map[string]ComputeCapability{
		"sm_75": 75, "sm75": 75, "7.5": 75, "75": 75, "compute_89": 89, "12.0": 120, "sm_121": 121, "120": 120,
	} {
		got, err := ParseComputeCapability(text)
		if err != nil || got != want {
			t.Errorf("%q reads as %d, %v", text, got, err)
		}
		if again, err := ParseComputeCapability(got.Target()); err != nil || again != want {
			t.Errorf("%q reads as %d, %v", got.Target(), again, err)
		}
	}
	for _, text := range []string{"", "7", "sm_", "sm_7.5.1", "7.55", "ampere", "-75", "sm_1234", "sm_90a", " 75"} {
		if got, err := ParseComputeCapability(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q reads as %d, %v", text, got, err)
		}
	}
}

func TestComputeCapabilityJSON(t *testing.T) {
	data, err := json.Marshal(RTXTargets())
	if err != nil || string(data) != `["7.5","8.0","8.6","8.9","12.0","12.1"]` {
		t.Fatalf("%s, %v", data, err)
	}
	var back []ComputeCapability
	if err := json.Unmarshal(data, &back); err != nil || !slices.Equal(back, RTXTargets()) {
		t.Errorf("%v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`["x"]`), &back); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
}
