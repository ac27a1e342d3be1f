// Package await has tests wait for what happens and not for time to pass, so
// that they hold on a machine of any speed.
package await

import (
	"testing"
	"time"
)

// Limit ends what hangs. Nothing that works comes near it, on a slow and busy
// machine neither.
const Limit = 10 * time.Minute

// pause is between two looks.
const pause = 2 * time.Millisecond

// Until returns once something has happened, and fails the test where it does
// not.
func Until(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(Limit); !happened(); time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("after %s still not: %s", Limit, what)
		}
	}
}
