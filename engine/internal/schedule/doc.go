// Package schedule decides when and where which images are computed. It knows
// nothing of images and of devices.
//
// A call Enters: it waits in the queue until it may read its images. Then it is
// Ready, and Waits until streams have run the batches that its images are in.
// Then it Exits, which gives back its memory.
//
// The queue is round-robin among callers, a call of each at a time, and in one
// round the earliest deadline goes first. Three bounds hold: how many images wait
// (Limit), how many are read at once (Readers), and how many bytes those take that
// are being read or computed (Bytes).
//
// A batch that a device fails is run by another, and a device that fails again and
// again is suspended: it is tried with one batch after a time that doubles. A
// device that is lost has to be opened anew.
//
// A Scheduler may be used from any goroutine, a Call by one at a time. Nothing
// that belongs to a caller, such as its context, is called under the lock.
package schedule
