package main

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The first picture's rate counts the time that it took.
func TestRunProgressRate(t *testing.T) {
	var screen strings.Builder
	synctest.Test(t, func(*testing.T) {
		p := startRunProgress(&console{w: &screen, terminal: true}, 10)
		time.Sleep(200 * time.Millisecond)
		p.step()
	})
	found := regexp.MustCompile(`(\d+) pictures/(s|min)`).FindStringSubmatch(screen.String())
	if found == nil {
		t.Fatalf("no rate in %q", screen.String())
	}
	if found[1] != "5" || found[2] != "s" {
		t.Errorf("one picture in 200 ms is %s", found[0])
	}
}
