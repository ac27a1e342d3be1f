package schedule

import (
	"math/bits"
	"time"
)

// measure is how long batches of each size have taken lately on a device.
type measure [exactSizes + 24]struct {
	mean  time.Duration
	count int
}

// exactSizes are told apart one by one, larger ones by their power of two.
const exactSizes = 32

// minMeasured is how many batches have to be measured before their mean is relied
// on: the first ones allocate, compile and capture.
const minMeasured = 3

func sizeIndex(n int) int {
	if n <= exactSizes {
		return n - 1
	}
	return min(exactSizes+bits.Len(uint(n-1))-bits.Len(exactSizes), len(measure{})-1)
}

// sizeAt is the largest size at an index.
func sizeAt(index int) int {
	if index < exactSizes {
		return index + 1
	}
	return exactSizes << (index - exactSizes + 1)
}

func (m *measure) add(n int, took time.Duration) {
	of := &m[sizeIndex(n)]
	of.count++
	if of.count <= minMeasured {
		of.mean = took
		return
	}
	of.mean += (took - of.mean) / 8
}

func (m *measure) known(n int) bool { return m[sizeIndex(n)].count >= minMeasured }

// around returns the nearest sizes that are measured, at most and at least n; 0
// where there is none.
func (m *measure) around(n int) (below, above int) {
	i := sizeIndex(n)
	for at := i; at >= 0 && below == 0; at-- {
		if m[at].count >= minMeasured {
			below = sizeAt(at)
		}
	}
	for at := i; at < len(m) && above == 0; at++ {
		if m[at].count >= minMeasured {
			above = sizeAt(at)
		}
	}
	return below, above
}

// of is the time that a batch of n images is expected to take, 0 where nothing is
// known. Between two sizes that were measured it lies between their times.
func (m *measure) of(n int) time.Duration {
	if m.known(n) {
		return m[sizeIndex(n)].mean
	}
	switch below, above := m.around(n); {
	case below == 0 && above == 0:
		return 0
	case below == 0:
		return m[sizeIndex(above)].mean
	case above == 0:
		return m[sizeIndex(below)].mean * time.Duration(n) / time.Duration(below)
	default:
		low, high := m[sizeIndex(below)].mean, m[sizeIndex(above)].mean
		return low + (high-low)*time.Duration(n-below)/time.Duration(above-below)
	}
}

// least is the shortest time that n images may take by what was measured.
func (m *measure) least(n int) time.Duration {
	if m.known(n) {
		return m[sizeIndex(n)].mean
	}
	var least time.Duration
	below, above := m.around(n)
	if below > 0 {
		least = m[sizeIndex(below)].mean
	}
	if above > 0 { // a batch takes no more than its images one by one
		least = max(least, m[sizeIndex(above)].mean*time.Duration(n)/time.Duration(above))
	}
	return least
}

// shortest is the least time that a batch of any size takes, 0 where nothing is known.
func (m *measure) shortest() time.Duration {
	var shortest time.Duration
	for _, of := range m {
		if of.count >= minMeasured && (shortest == 0 || of.mean < shortest) {
			shortest = of.mean
		}
	}
	// one image may take less than any batch that was measured
	if least := m.least(1); least < shortest {
		return least
	}
	return shortest
}

// doubt makes all times less, where a deadline was refused because of them and
// nothing runs: what is never run is never measured again.
func (m *measure) doubt() {
	for i := range m {
		m[i].mean -= m[i].mean / 8
	}
}
