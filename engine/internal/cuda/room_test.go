package cuda

import (
	"errors"
	"testing"

	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/imaging"
	"github.com/trtdet/trtdet/model"
	"github.com/trtdet/trtdet/tests/simgpu"
	"github.com/trtdet/trtdet/trt"
)

// TestRoom runs a batch with many more candidates than are copied out with each:
// all of them are found, and what that took is given back some batches later, or
// when no more batch comes. Where it is more than there may be, the batch is refused.
func TestRoom(t *testing.T) {
	n, err := model.Load("../../../models/emoji/decoupled-base.onnx", &model.Hints{})
	if err != nil {
		t.Fatal(err)
	}
	library, err := trt.Load(trt.Auto, "")
	if err != nil {
		t.Fatal(err)
	}
	defer library.Close()
	plan := planOf(t, n, library, [4]int{1, 3, 256, 256})
	simgpu.CheckClean(t)
	b, err := Open(plan, library, Config{Devices: []int{0}, Head: n.Head, Preprocess: n.Preprocess, Height: 256, Width: 256, Slots: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	picture, err := imaging.Open("../../../models/emoji/images/room.jpg", imaging.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var all []*backend.Picture
	for _, p := range []*imaging.Picture{imaging.NewPicture(64, 64), picture, picture} {
		staged := &backend.Picture{}
		if err := b.Stage(staged, p); err != nil {
			t.Fatal(err)
		}
		defer b.Unstage(staged)
		all = append(all, staged)
	}
	s := b.gpus[0].slots[0]
	const few, many = 0.5, 1e-9
	run := func(conf float32) error {
		for _, p := range all {
			p.Conf = conf
		}
		return s.Run(all, t.Context)
	}
	usual := func() {
		t.Helper()
		if err := run(few); err != nil {
			t.Fatal(err)
		}
	}
	usual()
	for range 2 {
		if err := run(many); err != nil {
			t.Fatal(err)
		}
		positions := 3 * (32*32 + 16*16 + 8*8)
		for i, p := range all {
			if len(p.Candidates) != positions {
				t.Errorf("image %d has %d candidates, want all %d", i, len(p.Candidates), positions)
			}
			seen := map[int32]bool{}
			for _, c := range p.Candidates {
				seen[c.Anchor] = true
			}
			if len(seen) != positions {
				t.Errorf("image %d has candidates at %d positions, want %d", i, len(seen), positions)
			}
		}
	}
	if s.room.candidates == nil || s.room.fetched == nil {
		t.Fatal("the candidates lie nowhere")
	}
	windowEnds := func() {
		s.room.batches = roomWindow - 1
		usual()
	}
	windowEnds() // the one in which they were needed
	if s.room.candidates == nil || s.room.fetched == nil {
		t.Error("room is given up that a batch has needed lately")
	}
	windowEnds()
	if s.room.candidates != nil || s.room.fetched != nil {
		t.Error("room for candidates is kept that no batch has needed lately")
	}
	large := &backend.Picture{Conf: few}
	if err := b.Stage(large, imaging.NewPicture(3000, 2000)); err != nil {
		t.Fatal(err)
	}
	if err := s.Run([]*backend.Picture{large}, t.Context); err != nil {
		t.Fatal(err)
	}
	b.Unstage(large)
	if got := s.room.pixels.Size(); got < 18e6 {
		t.Errorf("room for %d bytes of pixels, they were 18 million", got)
	}
	windowEnds()
	windowEnds()
	usual() // makes what is needed now
	if got := s.room.pixels.Size(); got > 5e6 {
		t.Errorf("room for %d bytes of pixels, which no batch has needed lately", got)
	}
	s.limits.candidates = 100_000
	if err := run(many); !errors.Is(err, backend.ErrMemoryLimit) {
		t.Errorf("more candidates than there may be: %v", err)
	}
	usual()
	s.room.last = s.room.last.Add(-2 * idleTime)
	s.freeIdle()
	if s.room.pixels != nil {
		t.Error("an idle slot keeps room for pixels")
	}
	usual()
}
