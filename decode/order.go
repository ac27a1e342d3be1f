package decode

import (
	"math"
	"slices"
)

// sort fills s.order with the candidates' indices, best score first, equal
// scores in the order of their anchors, equal anchors in the order given.
func (s *suppressor) sort(candidates []Candidate) {
	n := len(candidates)
	s.order, s.spare = resize(s.order, n), resize(s.spare, n)
	for i := range s.order {
		s.order[i] = uint32(i)
	}
	anchor := func(a, b Candidate) int { return int(a.Anchor) - int(b.Anchor) }
	if !slices.IsSortedFunc(candidates, anchor) {
		slices.SortStableFunc(candidates, anchor)
	}
	slices.SortStableFunc(s.order, func(a, b uint32) int {
		switch x, y := descending(candidates[a].Score), descending(candidates[b].Score); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
}

// descending maps a float to an integer that is less the greater it is; NaN
// comes last.
func descending(x float32) uint32 {
	if x != x {
		return math.MaxUint32
	}
	bits := math.Float32bits(x + 0) // -0 is 0
	if bits&(1<<31) != 0 {
		return bits
	}
	return ^bits &^ (1 << 31)
}
