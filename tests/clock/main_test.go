package main

import (
	"slices"
	"testing"
)

func TestCheck(t *testing.T) {
	const head = "package p\n"
	const bubble = head + "import \"testing/synctest\"\n"
	for _, c := range []struct {
		name, path, source string
		want               []string
	}{
		{"a sleep", "a_test.go", head + "func TestA() { time.Sleep(time.Second) }", []string{"a_test.go:2: time.Sleep"}},
		{"a measure", "a_test.go", head + "func f() {\n start := time.Now()\n _ = time.Since(start) < 5 }", []string{"a_test.go:3: time.Now", "a_test.go:4: time.Since"}},
		{"a function that is handed on", "a_test.go", head + "var nap = time.Sleep", []string{"a_test.go:2: time.Sleep"}},
		{"a short deadline", "a_test.go", head + "func f() { context.WithTimeout(ctx, 5*time.Second) }", []string{"a_test.go:2: context.WithTimeout"}},
		{"a long one", "a_test.go", head + "func f() { context.WithTimeout(ctx, 5*time.Minute)\n time.After(await.Limit) }", nil},
		{"a reason", "a_test.go", head + "func f() { time.Sleep(n) // clock: any moment will do\n}", nil},
		{"none", "a_test.go", head + "func f() { time.Sleep(n) // clock:\n}", []string{"a_test.go:2: time.Sleep"}},
		{"a reason for nothing", "a_test.go", head + "func f() {} // clock: it slept", []string{"a_test.go:2: no clock on this line"}},
		{"a made-up clock", "a_test.go", bubble + "func TestA() { synctest.Test(t, func() { time.Sleep(1) }) }\nfunc helper() { time.Sleep(1) }", nil},
		{"outside it", "a_test.go", bubble + "func TestA() { synctest.Test(t, f)\n time.Sleep(1) }", []string{"a_test.go:4: time.Sleep"}},
		{"Python", "test_a.py", "import time\ntime.sleep(1)\nrun(timeout=60)\nrun(timeout=LIMIT)\ntime.monotonic()  # clock: printed\n",
			[]string{"test_a.py:2: time.sleep(", "test_a.py:3: timeout=60"}},
		{"C++", "a_test.cpp", "std::this_thread::sleep_for(x);\nauto t = std::chrono::steady_clock::now();\n",
			[]string{"a_test.cpp:1: sleep_for(", "a_test.cpp:2: steady_clock"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := check(c.path, []byte(c.source))
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
	if _, err := check("a_test.go", []byte("package")); err == nil {
		t.Error("a file that is no Go passed")
	}
}
