package cuda

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/dustin/go-humanize"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/engine/internal/backend"
	"github.com/trtdet/trtdet/engine/internal/kernels"
)

// room is a slot's memory for what depends on the images: their pixels, and the
// candidates of those that have more than capacity. It grows to what a batch needs,
// and shrinks to what the batches of a window have needed, or to nothing when no
// batch has come for idleTime.
type room struct {
	pixels     *Buffer // nil until there are any
	candidates *Buffer // as many for each image of a batch; nil unless a batch needed them lately
	fetched    *Pinned // those of the images that have them
	batches    int     // of this window
	needed     struct{ pixels, candidates, fetched int }
	last       time.Time
	idle       *time.Timer // nil until a batch has run
	free       func()      // what the timer does
}

// roomLimits are the bytes that a slot may take.
type roomLimits struct{ pixels, candidates int64 }

// roomWindow is how many batches are looked back on.
const roomWindow = 256

// growPixels makes room for size bytes of pixels on the device.
func (s *slot) growPixels(size int) error {
	s.room.needed.pixels = max(s.room.needed.pixels, size)
	s.room.used(time.Now())
	return s.device.resize(&s.room.pixels, size, s.limits.pixels, "the images of a batch")
}

// resize makes a buffer of at least size bytes of one that is smaller.
func (d *Device) resize(b **Buffer, size int, limit int64, what string) error {
	if size == 0 || (*b != nil && (*b).Size() >= size) {
		return nil
	}
	if limit > 0 && int64(size) > limit {
		return fmt.Errorf("%s: %w: %s take %s of device memory, at most %s are taken for them", d, backend.ErrMemoryLimit, what,
			humanize.IBytes(uint64(size)), humanize.IBytes(uint64(limit)))
	}
	larger := backend.RoundUp(size)
	if limit > 0 {
		larger = int(min(int64(larger), limit))
	}
	// the old one first: both together may be more than there is
	if err := shrink(b, 0); err != nil {
		return err
	}
	made, err := d.Alloc(larger)
	if err != nil {
		return err
	}
	*b = made
	return nil
}

// fetch makes sure that all candidates of a batch are on the host. The counts say
// whether they were copied out with it; where an image has more, they are decoded
// once more.
func (s *slot) fetch(h header, images int, b *bucket) error {
	total, most := 0, 0
	for i := range images {
		n, _ := kernels.Counts(&h.found[i])
		s.counts[i] = n
		most = max(most, n)
		if n > capacity {
			total += n
		}
	}
	if most <= capacity {
		return nil
	}
	return s.decodeAgain(h, s.counts[:images], most, total, b)
}

// found returns an image's candidates once they were fetched.
func (s *slot) found(image int) []decode.Candidate {
	n := s.counts[image]
	if n <= capacity {
		return candidatesAt(s.candidates.host.Bytes(), image*capacity, n)
	}
	first := 0 // behind those of the images before
	for _, before := range s.counts[:image] {
		if before > capacity {
			first += before
		}
	}
	return candidatesAt(s.room.fetched.Bytes(), first, n)
}

// candidatesAt views candidates in pinned memory.
func candidatesAt(memory []byte, first, n int) []decode.Candidate {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*decode.Candidate)(unsafe.Pointer(&memory[first*kernels.CandidateSize])), n)
}

// decodeAgain decodes a batch, whose maps still lie there, with room for the most
// that one of its images has, and copies out all of those that have more than
// capacity.
func (s *slot) decodeAgain(h header, counts []int, most, total int, b *bucket) error {
	r := &s.room
	size, fetched := len(counts)*most*kernels.CandidateSize, total*kernels.CandidateSize
	r.needed.candidates, r.needed.fetched = max(r.needed.candidates, size), max(r.needed.fetched, fetched)
	what := fmt.Sprintf("the candidates of %d images, up to %d of one,", len(counts), most)
	if err := s.device.resize(&r.candidates, size, s.limits.candidates, what); err != nil {
		return err
	}
	if r.fetched == nil || len(r.fetched.Bytes()) < fetched {
		if err := r.fetched.Close(); err != nil {
			return err
		}
		var err error
		if r.fetched, err = s.device.AllocPinned(backend.RoundUp(fetched)); err != nil {
			return err
		}
	}
	clear(h.found)
	s.setBlock(h, len(counts), r.candidates.Address(), most)
	return s.do(func() error {
		err := errors.Join(s.stream.CopyIn(s.header.device.Address(), s.header.host.Bytes()), s.launchDecode(b), s.copyFound())
		at := 0
		for i, n := range counts {
			if n <= capacity {
				continue
			}
			n *= kernels.CandidateSize
			err = errors.Join(err, s.stream.CopyOut(r.fetched.Bytes()[at:at+n], r.candidates.Address()+uint64(i*most*kernels.CandidateSize)))
			at += n
		}
		return err
	})
}

// used takes in that a batch begins.
func (r *room) used(now time.Time) {
	r.last = now
	if r.idle == nil {
		r.idle = time.AfterFunc(idleTime, r.free)
	} else {
		r.idle.Reset(idleTime)
	}
}

// shrinkRoom gives back, at the end of each window, what no batch of it needed.
func (s *slot) shrinkRoom() error {
	r := &s.room
	if r.batches++; r.batches < roomWindow {
		return nil
	}
	needed := r.needed
	r.batches, r.needed = 0, struct{ pixels, candidates, fetched int }{}
	var err error
	if r.fetched != nil && len(r.fetched.Bytes()) > 2*backend.RoundUp(needed.fetched) {
		err = r.fetched.Close()
		r.fetched = nil
	}
	return errors.Join(err, shrink(&r.pixels, needed.pixels), shrink(&r.candidates, needed.candidates))
}

// shrink frees a buffer that is more than twice what was needed; the next batch
// makes one of its size.
func shrink(b **Buffer, needed int) error {
	if *b == nil || (needed > 0 && (*b).Size() <= 2*backend.RoundUp(needed)) {
		return nil
	}
	old := *b
	*b = nil
	return old.Close()
}

// freeIdle frees the room of a slot that has had no batch for idleTime.
func (s *slot) freeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || time.Since(s.room.last) < idleTime {
		return
	}
	if err := unlessLost(s.room.empty()); err != nil {
		s.log.Warn("memory that nobody needs cannot be freed", "device", s.device.String(), "reason", err)
	}
}

// empty frees all of it.
func (r *room) empty() error {
	var err error
	for _, b := range []**Buffer{&r.pixels, &r.candidates} {
		err = errors.Join(err, shrink(b, 0))
	}
	err = errors.Join(err, r.fetched.Close())
	r.fetched = nil
	return err
}

// close frees all of it for good.
func (r *room) close() error {
	if r.idle != nil {
		r.idle.Stop()
	}
	return r.empty()
}
