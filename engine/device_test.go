package engine

import "testing"

func TestParseDevice(t *testing.T) {
	for in, want := range map[string]string{
		"": "auto", "auto": "auto", "cpu": "cpu", "cuda": "cuda:0", "cuda:1": "cuda:1", "0": "cuda:0",
		"0,1": "cuda:0,1", "cuda:2,0": "cuda:2,0", "cuda:0,cuda:3": "cuda:0,3",
	} {
		d, err := ParseDevice(in)
		if err != nil || d.String() != want {
			t.Errorf("ParseDevice(%q) = %s, %v; want %s", in, d, err, want)
		}
	}
	for _, in := range []string{"gpu", "cuda:", "cuda:-1", "0,", "0,0", "1.5", "cpu,0"} {
		if d, err := ParseDevice(in); err == nil {
			t.Errorf("ParseDevice(%q) = %s, want an error", in, d)
		}
	}
}
