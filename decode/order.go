package decode

import (
	"math"
	"slices"
)

// sort puts the candidates in the order of their anchors, then their classes,
// and fills s.order with their indices, best score first, equal scores in that
// order.
func (s *suppressor) sort(candidates []Candidate) {
	n := len(candidates)
	s.keys, s.spare, s.order = resize(s.keys, n), resize(s.spare, n), resize(s.order, n)
	inOrder := true
	for i := 1; i < n && inOrder; i++ {
		inOrder = !before(&candidates[i], &candidates[i-1])
	}
	if !inOrder {
		for i := range candidates {
			// flipping the sign's bit puts negative anchors first
			s.keys[i] = uint64(uint32(candidates[i].Anchor)^1<<31)<<32 | uint64(i)
		}
		s.sortKeys()
		s.sorted = append(s.sorted[:0], candidates...)
		for i, key := range s.keys {
			candidates[i] = s.sorted[uint32(key)]
			for k := i; k > 0 && before(&candidates[k], &candidates[k-1]); k-- { // among one anchor's
				candidates[k], candidates[k-1] = candidates[k-1], candidates[k]
			}
		}
	}
	for i := range candidates {
		s.keys[i] = uint64(descending(candidates[i].Score))<<32 | uint64(i)
	}
	s.sortKeys()
	for i, key := range s.keys {
		s.order[i] = uint32(key)
	}
}

// before reports whether a decoder finds a before b.
func before(a, b *Candidate) bool {
	return a.Anchor < b.Anchor || (a.Anchor == b.Anchor && a.Class < b.Class)
}

// radixLeast is the number of keys from which counting beats comparing.
const radixLeast = 256

// sortKeys sorts s.keys, whose lower halves are their places, by their upper
// halves and then their places: three rounds of counting 11 bits at a time.
func (s *suppressor) sortKeys() {
	if len(s.keys) < radixLeast {
		slices.Sort(s.keys)
		return
	}
	const bits, buckets = 11, 1 << 11
	clear(s.counts[:])
	for _, key := range s.keys {
		s.counts[0][key>>32&(buckets-1)]++
		s.counts[1][key>>(32+bits)&(buckets-1)]++
		s.counts[2][key>>(32+2*bits)&(buckets-1)]++
	}
	for round := range s.counts {
		counts, shift := &s.counts[round], 32+uint(round)*bits
		if counts[s.keys[0]>>shift&(buckets-1)] == uint32(len(s.keys)) {
			continue // all keys have the same bits here
		}
		sum := uint32(0)
		for i, n := range counts {
			counts[i] = sum
			sum += n
		}
		for _, key := range s.keys {
			at := &counts[key>>shift&(buckets-1)]
			s.spare[*at] = key
			*at++
		}
		s.keys, s.spare = s.spare, s.keys
	}
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
