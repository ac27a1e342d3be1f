package main

import (
	"errors"
	"reflect"
	"testing"

	"github.com/trtdet/trtdet/engine"
)

func TestParseImgSize(t *testing.T) {
	for in, want := range map[string][2]int{"": {0, 0}, "640": {640, 640}, "384,640": {384, 640}, "320, 352": {320, 352}} {
		h, w, err := parseImgSize(in)
		if err != nil || (want != [2]int{h, w}) {
			t.Errorf("%q: got %d,%d, %v, want %v", in, h, w, err, want)
		}
	}
	for _, in := range []string{"0", "-1", "a", "640x640", "1,2,3", "640,", "99999"} {
		var usage usageError
		if _, _, err := parseImgSize(in); !errors.As(err, &usage) {
			t.Errorf("%q: error %v, want a usage error", in, err)
		}
	}
}

func TestParseBatch(t *testing.T) {
	for in, want := range map[string]engine.BatchRange{"": {}, "1": {Min: 1, Opt: 1, Max: 1}, "8": {Min: 1, Opt: 8, Max: 8}, "1:4:16": {Min: 1, Opt: 4, Max: 16}} {
		if got, err := parseBatch(in); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"0", "-1", "a", "1:2", "4:2:8", "1:8:4", "1:2:3:4", "::"} {
		var usage usageError
		if _, err := parseBatch(in); !errors.As(err, &usage) {
			t.Errorf("%q: error %v, want a usage error", in, err)
		}
	}
}

func TestParseAnchors(t *testing.T) {
	got, err := parseAnchors("10,13,16.5,30:1, 2,3,4")
	want := [][][2]float32{{{10, 13}, {16.5, 30}}, {{1, 2}, {3, 4}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, in := range []string{"1", "1,2,3", "1,0", "1,-2", "a,b", "1,2:", "NaN,1"} {
		var usage usageError
		if got, err := parseAnchors(in); !errors.As(err, &usage) {
			t.Errorf("%q: got %v, error %v, want a usage error", in, got, err)
		}
	}
}
