// Package guard keeps what a caller hands in, such as contexts and log handlers,
// from harming anybody else: it may panic, block, or call back. What panics
// becomes an error; what may block is called in a goroutine that nobody waits for.
package guard
