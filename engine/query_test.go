package engine

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/tests/await"
)

func ptr(x float32) *float32 { return &x }

// Calls of With ask for what a Detector could have been opened for, and get what
// that finds.
func TestWith(t *testing.T) {
	d, err := Open(t.Context(), carried, &Options{Height: 256, Width: 256})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	picture := openPicture(t, "mountains.jpg")
	usual, err := d.Detect(t.Context(), picture)
	if err != nil || len(usual.Detections) < 2 {
		t.Fatalf("%d detections, %v", len(usual.Detections), err)
	}
	class := usual.Detections[0].ClassID
	score := usual.Detections[1].Score
	for _, c := range []struct {
		name   string
		asked  []CallOption
		opened Options
	}{
		{"a low confidence", []CallOption{Conf(0.001)}, Options{Head: model.Hints{Conf: ptr(0.001)}}},
		{"a high confidence", []CallOption{Conf(score)}, Options{Head: model.Hints{Conf: ptr(score)}}},
		{"every box", []CallOption{Conf(0.001), IoU(1)}, Options{Head: model.Hints{Conf: ptr(0.001), IoU: ptr(1)}}},
		{"one detection", []CallOption{MaxDet(1)}, Options{MaxDet: 1}},
		{"a class", []CallOption{Classes(class)}, Options{Classes: []int{class}}},
		{"a class by name", []CallOption{Conf(0.001), ClassNames(d.ClassName(class))},
			Options{Head: model.Hints{Conf: ptr(0.001)}, Classes: []int{class}}},
		{"every class again", []CallOption{Classes(class), Classes()}, Options{}},
		{"the last of two", []CallOption{Conf(0.9), Conf(0.25)}, Options{Head: model.Hints{Conf: ptr(0.25)}}},
	} {
		c.opened.Height, c.opened.Width = 256, 256
		other, err := Open(t.Context(), carried, &c.opened)
		if err != nil {
			t.Fatal(err)
		}
		want, err := other.Detect(t.Context(), picture)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		asks, err := d.With(c.asked...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := asks.Detect(t.Context(), picture)
		if err != nil || !reflect.DeepEqual(got.Detections, want.Detections) {
			t.Errorf("%s: %v, %v, want %v", c.name, got.Detections, err, want.Detections)
		}
	}
	if again, err := d.Detect(t.Context(), picture); err != nil || !reflect.DeepEqual(again.Detections, usual.Detections) {
		t.Errorf("the Detector itself finds %v now, %v", again.Detections, err)
	}
}

// Calls that ask for different things share batches, and each gets what it gets
// alone.
func TestWithSharesBatches(t *testing.T) {
	d, err := Open(t.Context(), carried, &Options{Height: 256, Width: 256, Batch: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var pictures []imaging.Source
	for _, name := range []string{"mountains.jpg", "room.jpg", "sunset.jpg"} {
		pictures = append(pictures, openPicture(t, name))
	}
	const askers = 8
	asks, want := make([]*Detector, askers), make([][]Result, askers)
	for i := range asks {
		if asks[i], err = d.With(Conf([]float32{0.001, 0.1, 0.5, 0.9}[i%4]), MaxDet(1+10*i)); err != nil {
			t.Fatal(err)
		}
		for _, p := range pictures {
			one, err := asks[i].Detect(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			want[i] = append(want[i], one)
		}
	}
	await.Until(t, "calls share a batch", func() bool {
		var all sync.WaitGroup
		batches := make([]int, askers)
		for i := range asks {
			all.Go(func() {
				got, err := asks[i].Detect(t.Context(), pictures[i%3])
				if err != nil || !sameObjects(got.Detections, want[i][i%3].Detections) || got.NonFinite != want[i][i%3].NonFinite {
					t.Errorf("asker %d: %v, %v, want %v", i, got.Detections, err, want[i][i%3].Detections)
				}
				batches[i] = got.Timing.Pictures
			})
		}
		all.Wait()
		return slices.Max(batches) > 1 || t.Failed()
	})
	// more than a batch, in one call
	got, err := asks[3].DetectBatch(t.Context(), slices.Concat(pictures, pictures))
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if !sameObjects(got[i].Detections, want[3][i%3].Detections) {
			t.Errorf("picture %d of many: %v, want %v", i, got[i].Detections, want[3][i%3].Detections)
		}
	}
}

// What cannot be asked is refused before any call, and by Open where it is an
// option there.
func TestWithRefuses(t *testing.T) {
	d, err := Open(t.Context(), carried, &Options{Height: 256, Width: 256})
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	for name, o := range map[string][]CallOption{
		"Conf":   {Conf(-0.1), Conf(1.1), Conf(nan)},
		"IoU":    {IoU(-0.1), IoU(2), IoU(nan)},
		"MaxDet": {MaxDet(0), MaxDet(-1)},
	} {
		for _, o := range o {
			_, err := d.With(o)
			var bad *OptionError
			if !errors.As(err, &bad) || bad.Option != name {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, o := range []CallOption{Classes(99), Classes(-1), ClassNames("unicorn")} {
		_, err := d.With(o)
		var unknown *UnknownClassError
		if !errors.As(err, &unknown) {
			t.Errorf("a class that the model does not have: %v", err)
		}
	}
	var bad *OptionError
	if _, err := Open(t.Context(), carried, &Options{MaxDet: -1}); !errors.As(err, &bad) {
		t.Errorf("opened with MaxDet -1: %v", err)
	}
	asks, err := d.With(nil, ClassNames(d.ClassName(0)))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := asks.Detect(t.Context(), imaging.NewPicture(8, 8)); !errors.Is(err, ErrClosed) {
		t.Errorf("a call once the Detector is closed: %v", err)
	}
	if _, err := asks.With(Conf(0.5)); !errors.Is(err, ErrClosed) {
		t.Errorf("With once the Detector is closed: %v", err)
	}
}
