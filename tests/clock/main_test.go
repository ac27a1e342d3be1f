package main

import (
	"slices"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	const plain, bubble = "package p", `package p; import "testing/synctest"`
	for _, c := range []struct {
		name, path string
		lines      []string
		want       []string
	}{
		{"a sleep", "t.go", []string{plain, "func TestA() { time.Sleep(time.Second) }"}, []string{"t.go:2: time.Sleep"}},
		{"a measure", "t.go", []string{plain, "func f() { from := time.Now()", "_ = time.Since(from) < 5 }"},
			[]string{"t.go:2: time.Now", "t.go:3: time.Since"}},
		{"a function that is handed on", "t.go", []string{plain, "var nap = time.Sleep"}, []string{"t.go:2: time.Sleep"}},
		{"a short deadline", "t.go", []string{plain, "func f() { context.WithTimeout(ctx, 5*time.Second) }"},
			[]string{"t.go:2: context.WithTimeout"}},
		{"a long one", "t.go", []string{plain, "func f() { time.After(await.Limit); time.After(5*time.Minute) }"}, nil},
		{"a reason", "t.go", []string{plain, "func f() { time.Sleep(n) // clock: any moment will do", "}"}, nil},
		{"none", "t.go", []string{plain, "func f() { time.Sleep(n) // clock:", "}"}, []string{"t.go:2: time.Sleep"}},
		{"a reason for nothing", "t.go", []string{plain, "// clock: it slept"}, []string{"t.go:2: no clock on this line"}},
		{"a made-up clock", "t.go", []string{bubble, "func TestA() { synctest.Test(t, func() { time.Sleep(1) }) }",
			"func helper() { time.Sleep(1) }"}, nil},
		{"outside it", "t.go", []string{bubble, "func TestA() { synctest.Test(t, f)", "time.Sleep(1) }"},
			[]string{"t.go:3: time.Sleep"}},
		{"Python", "t.py", []string{"time.sleep(1)", "f(timeout=60)", "f(timeout=LIMIT)", "time.time()  # clock: printed"},
			[]string{"t.py:1: time.sleep(", "t.py:2: timeout=60"}},
		{"C++", "t.cpp", []string{"std::this_thread::sleep_for(x);", "auto t = std::chrono::steady_clock::now();"},
			[]string{"t.cpp:1: sleep_for(", "t.cpp:2: steady_clock"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := check(c.path, strings.Join(c.lines, "\n"))
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
	if _, err := check("t.go", "package"); err == nil {
		t.Error("a file that is no Go passed")
	}
}
