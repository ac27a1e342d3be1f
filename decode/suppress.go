package decode

import (
	"math"
	"sync"
)

// suppressor is the memory of one suppression, kept from one to the next.
type suppressor struct {
	keys, spare []uint64
	counts      [3][1 << 11]uint32
	order       []uint32 // candidates from the best to the worst
	sorted      []Candidate
	indices     []uint32 // what is kept

	first  []int32     // first[class] is where the class's boxes begin in boxes
	kept   []int32     // kept[class] counts its boxes that were kept
	boxes  []offsetBox // kept boxes, class by class
	rough  []uint64    // kept boxes as pack makes them
	base   float32     // low end of the boxes' coordinates
	scale  float32     // steps per pixel of rough coordinates
	spread bool        // boxes of different classes lie in one list
}

var suppressors = sync.Pool{New: func() any { return new(suppressor) }}

// offsetBox is a box moved by its class, with its area.
type offsetBox struct {
	x1, y1, x2, y2, area float32
}

// maxClassLists bounds the lists, and with them the offset whose rounding
// plan's margin covers; above it every box is compared with every other.
const maxClassLists = 10000

// suppress walks the order from the best on and keeps what no kept box of its
// class overlaps, until limit are kept.
func (s *suppressor) suppress(candidates []Candidate, iou float64, limit int, agnostic bool) []Candidate {
	s.plan(candidates, agnostic)
	s.indices = s.indices[:0]
	for _, at := range s.order {
		c := &candidates[at]
		list, offset, base := int32(0), float32(0), s.base
		if !agnostic {
			offset = float32(c.Class) * classOffset
			if !s.spread {
				list, base = c.Class, base+offset
			}
		}
		b := offsetBox{x1: c.Box.X1 + offset, y1: c.Box.Y1 + offset, x2: c.Box.X2 + offset, y2: c.Box.Y2 + offset}
		b.area = (b.x2 - b.x1) * (b.y2 - b.y1)
		box, probe := s.pack(&b, base)
		begin, end := s.first[list], s.first[list]+s.kept[list]
		if overlaps(s.boxes[begin:end], s.rough[begin:end], b, probe, iou) {
			continue
		}
		s.boxes[end], s.rough[end] = b, box
		s.kept[list]++
		s.indices = append(s.indices, at)
		if len(s.indices) == limit {
			break
		}
	}
	return s.take(candidates)
}

// take moves what is kept to the front, best score first.
func (s *suppressor) take(candidates []Candidate) []Candidate {
	s.sorted = s.sorted[:0]
	for _, at := range s.indices {
		s.sorted = append(s.sorted, candidates[at])
	}
	return candidates[:copy(candidates, s.sorted)]
}

// plan lays out one list of boxes per class, or one for all where classes may
// overlap: the boxes are spread over as many pixels as lie between two
// classes, and YOLOv5 compares them then. Classes that no head has, below 0 or
// in the thousands, go to one list too.
func (s *suppressor) plan(candidates []Candidate, agnostic bool) {
	low, high := float32(math.MaxFloat32), float32(-math.MaxFloat32)
	least, most := candidates[s.order[0]].Class, candidates[s.order[0]].Class
	for _, at := range s.order {
		c := &candidates[at]
		low = min(low, c.Box.X1, c.Box.Y1, c.Box.X2, c.Box.Y2)
		high = max(high, c.Box.X1, c.Box.Y1, c.Box.X2, c.Box.Y2)
		least, most = min(least, c.Class), max(most, c.Class)
	}
	// the margin is more than a float32 is off at any class's offset
	s.spread = least < 0 || most >= maxClassLists || high-low > classOffset-64
	lists := int(most) + 1
	if s.spread && !agnostic {
		low += float32(least) * classOffset
		high += float32(most) * classOffset
	}
	if s.spread || agnostic {
		lists = 1
	}
	s.base, s.scale = low, 0
	if high > low {
		s.scale = roughSteps / (high - low)
	}
	s.first, s.kept = resize(s.first, lists+1), resize(s.kept, lists)
	clear(s.first)
	clear(s.kept)
	if lists > 1 {
		for _, at := range s.order {
			s.first[candidates[at].Class+1]++
		}
		for i := range lists {
			s.first[i+1] += s.first[i]
		}
	}
	s.boxes, s.rough = resize(s.boxes, len(s.order)), resize(s.rough, len(s.order))
}

const (
	roughSteps = 32000 // of 32767, the rest for roundings
	laneMost   = 0x7fff
	guards     = 0x8000_8000_8000_8000
)

// pack rounds a box outwards to 15 bits a coordinate and packs it twice, once
// to be kept and once to be held against what is kept: two boxes can only
// have pixels in common if, in each of the four lanes, the kept one is not
// more than the probe, that is if (probe - kept) leaves every guard bit set.
func (s *suppressor) pack(b *offsetBox, base float32) (kept, probe uint64) {
	x1, y1 := s.step(b.x1-base)-1, s.step(b.y1-base)-1
	x2, y2 := s.step(b.x2-base)+1, s.step(b.y2-base)+1
	kept = lanes(x1, laneMost-x2, y1, laneMost-y2)
	probe = lanes(x2, laneMost-x1, y2, laneMost-y1) | guards
	return kept, probe
}

// step is a distance from the low end in whole steps, 1 to laneMost-1.
func (s *suppressor) step(d float32) int {
	v := d * s.scale
	if !(v > 0) {
		v = 0
	}
	return int(min(v, roughSteps)) + 1
}

func lanes(a, b, c, d int) uint64 {
	return uint64(a) | uint64(b)<<16 | uint64(c)<<32 | uint64(d)<<48
}

// overlaps reports whether a kept box has more than iou in common with b, in
// torchvision's arithmetic (ops/cpu/nms_kernel.cpp).
func overlaps(kept []offsetBox, rough []uint64, b offsetBox, probe uint64, iou float64) bool {
	kept = kept[:len(rough)]
	for i, r := range rough {
		if (probe-r)&guards != guards {
			continue
		}
		k := &kept[i]
		w := min(k.x2, b.x2) - max(k.x1, b.x1)
		h := min(k.y2, b.y2) - max(k.y1, b.y1)
		if !(w > 0) || !(h > 0) {
			continue
		}
		inter := w * h
		if float64(inter/(k.area+b.area-inter)) > iou {
			return true
		}
	}
	return false
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
