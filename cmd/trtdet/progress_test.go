package main

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The first picture's rate counts the time that it took.
func TestRunProgressRate(t *testing.T) {
	var screen strings.Builder
	p := startRunProgress(&console{w: &screen, terminal: true}, 10)
	time.Sleep(200 * time.Millisecond)
	p.step()
	found := regexp.MustCompile(`(\d+) pictures/(s|min)`).FindStringSubmatch(screen.String())
	if found == nil {
		t.Fatalf("no rate in %q", screen.String())
	}
	if n, err := strconv.Atoi(found[1]); err != nil || (found[2] == "s" && n > 5) {
		t.Errorf("one picture in 200 ms is %s", found[0])
	}
}
