package model

import (
	"fmt"
	"testing"

	"github.com/trtdet/trtdet/model/internal/probe"
)

func TestCellsNameEachCellOnce(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {1, 2}, {3, 5}, {80, 80}} {
		f := &feed{level: &level{ny: size[0], nx: size[1]}}
		cells := f.cells()
		seen := map[int]bool{}
		for _, c := range cells {
			if seen[c] || c < 0 || c >= size[0]*size[1] {
				t.Fatalf("%v: cell %d in %v", size, c, cells)
			}
			seen[c] = true
		}
		if !seen[0] || !seen[size[0]*size[1]-1] {
			t.Errorf("%v: first or last cell is missing in %v", size, cells)
		}
	}
}

func TestStrideOf(t *testing.T) {
	for _, c := range []struct{ h, w, ny, nx, want int }{
		{640, 640, 80, 80, 8}, {416, 416, 13, 13, 32}, {100, 100, 13, 13, 8}, {96, 96, 4, 4, 24}, {96, 96, 32, 32, 3}, {640, 480, 80, 80, 0}, {64, 64, 0, 0, 0},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			got := strideOf(c.h, c.w, c.ny, c.nx)
			if got != c.want {
				t.Errorf("stride %d, want %d", got, c.want)
			}
		})
	}
}

// Levels of different channels have no layout in common; the rows of a hostile
// graph are not read with the first level's.
func TestCommonLayouts(t *testing.T) {
	mapsOf := func(channels ...int) *feed {
		return &feed{level: &level{ny: 2, nx: 2}, maps: make([]*probe.Value, len(channels)), channels: channels}
	}
	for _, c := range []struct {
		name string
		list []*feed
		want int
	}{
		{"the same", []*feed{mapsOf(16), mapsOf(16)}, 2},
		{"one map and three", []*feed{mapsOf(16), mapsOf(8, 2, 6)}, 1},
		{"fewer channels", []*feed{mapsOf(16), mapsOf(8)}, 0},
		{"none", []*feed{mapsOf(16), mapsOf(8, 8)}, 0},
	} {
		if got := common(c.list, 2, 8); len(got) != c.want {
			t.Errorf("%s: %v, want %d", c.name, got, c.want)
		}
	}
}
