package schedule

import (
	"fmt"
	"slices"
	"time"
)

// enter admits a call at once, or queues it, or refuses it.
func (s *Scheduler[T]) enter(c *Call[T]) (admitted bool, err error) {
	n := len(c.Items)
	if count, err := s.refusal(c); err != nil {
		if count != nil {
			*count += uint64(n)
		}
		return false, err
	}
	s.calls++
	s.inside += n
	s.stats.Pictures += uint64(n)
	if s.queue.first() == nil && s.fits(c) {
		s.admit(c)
		return true, nil
	}
	c.state = waiting
	s.queue.push(c)
	s.stats.Waiting += n
	return false, nil
}

// refusal is the error of a call that is not taken in, and what counts it; nil
// where it is taken in.
func (s *Scheduler[T]) refusal(c *Call[T]) (count *uint64, err error) {
	n := len(c.Items)
	if n == 0 || n > s.config.Batch {
		return nil, fmt.Errorf("a call of %d images, want 1 to %d", n, s.config.Batch)
	}
	s.setKey(c, c.since)
	switch {
	case s.closed:
		return nil, ErrClosed
	case s.available == 0:
		return &s.stats.Failed, s.lost
	case s.config.Bytes > 0 && c.Bytes > s.config.Bytes:
		return &s.stats.TooLarge, fmt.Errorf("%w: the call's images take %d bytes, all calls together may take %d", ErrTooLarge, c.Bytes, s.config.Bytes)
	}
	if err := s.tooLate(c); err != nil {
		return &s.stats.Late, err
	}
	if (s.queue.first() != nil || !s.fits(c)) && s.stats.Waiting+n > s.config.Limit {
		return &s.stats.Overloaded, ErrQueueFull
	}
	return nil, nil
}

// fits reports whether a call may read its images now.
func (s *Scheduler[T]) fits(c *Call[T]) bool {
	return s.room >= len(c.Items) && s.readers+s.readersOf(c) <= s.config.Readers &&
		(s.config.Bytes == 0 || s.bytes+c.Bytes <= s.config.Bytes)
}

// readersOf is how many of its images a call reads at once.
func (s *Scheduler[T]) readersOf(c *Call[T]) int { return min(len(c.Items), s.config.Readers) }

// admit has a call read its images.
func (s *Scheduler[T]) admit(c *Call[T]) {
	c.state = reading
	s.setKey(c, time.Now()) // from here on its turn counts, not when it came
	s.room -= len(c.Items)
	s.bytes += c.Bytes
	s.readers += s.readersOf(c)
	s.reading = append(s.reading, c)
}

func (s *Scheduler[T]) stopReading(c *Call[T]) {
	s.readers -= s.readersOf(c)
	at := slices.Index(s.reading, c)
	s.reading[at] = s.reading[len(s.reading)-1]
	s.reading[len(s.reading)-1] = nil
	s.reading = s.reading[:len(s.reading)-1]
}

// grant admits calls while there is room.
func (s *Scheduler[T]) grant() {
	for c := s.queue.first(); c != nil && s.fits(c); c = s.queue.first() {
		s.queue.pop()
		s.stats.Waiting -= len(c.Items)
		if err := s.tooLate(c); err != nil { // what is not read costs nothing
			s.refuse(c, err, &s.stats.Late)
			continue
		}
		s.admit(c)
		c.turn <- struct{}{}
	}
}

// refuse ends a call that has waited.
func (s *Scheduler[T]) refuse(c *Call[T], err error, count *uint64) {
	*count += uint64(len(c.Items))
	s.leave(c)
	c.err = err
	c.turn <- struct{}{}
}

// withdraw takes out a call that waits, and reports whether it did.
func (s *Scheduler[T]) withdraw(c *Call[T]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.state != waiting {
		return false
	}
	s.queue.remove(c)
	s.stats.Waiting -= len(c.Items)
	s.stats.Canceled += uint64(len(c.Items))
	s.leave(c)
	s.grant() // it may have been what others waited behind
	return true
}

// leave counts out a call that has not read its images.
func (s *Scheduler[T]) leave(c *Call[T]) {
	c.state = idle
	s.inside -= len(c.Items)
	if s.calls--; s.calls == 0 {
		s.drained.Broadcast()
	}
}
