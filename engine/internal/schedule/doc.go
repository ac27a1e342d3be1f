// Package schedule decides when which pictures are computed, and where: calls
// wait in turn, what is ready goes in batches to lanes, and lanes come and go
// with their devices. It knows nothing of pictures and of devices.
//
// A call Enters, which waits until it is its turn to make its pictures ready;
// then it is Ready; then it Waits for what came of them. Turns go around among
// callers, a call at a time, so that none can starve another. How many pictures
// are made ready at once is bounded, and so is how many wait.
//
// A Scheduler may be used from any goroutine, a Call by one at a time.
package schedule
