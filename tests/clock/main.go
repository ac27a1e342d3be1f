// Command clock refuses tests that depend on how fast the machine is: FILE...,
// in Go, Python and C++, that sleep, look at the clock, or have a deadline. It
// takes
//
//   - what runs in testing/synctest, whose clock is made up
//   - a deadline that ends what hangs: its length has Minute, Hour or Limit (or
//     LIMIT) in it
//   - a line that says why: // clock: REASON
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		source, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		problems, err := check(path, source)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		for _, p := range problems {
			fmt.Println(p)
			failed = true
		}
	}
	if failed {
		fmt.Println("tests wait for what happens (tests/await, a line, a channel) or run in testing/synctest; otherwise: // clock: REASON")
		os.Exit(1)
	}
}

// check returns FILE:LINE: PROBLEM for each line of a test that needs a reason
// and has none, and for each that has one and needs none.
func check(path string, source []byte) ([]string, error) {
	clocks := textClocks
	if filepath.Ext(path) == ".go" {
		clocks = goClocks
	}
	found, err := clocks(path, source)
	if err != nil {
		return nil, err
	}
	var problems []string
	for i, line := range strings.Split(string(source), "\n") {
		what, reason := found[i+1], excuse.MatchString(line)
		switch {
		case what != "" && !reason:
			problems = append(problems, fmt.Sprintf("%s:%d: %s", path, i+1, what))
		case what == "" && reason:
			problems = append(problems, fmt.Sprintf("%s:%d: no clock on this line", path, i+1))
		}
	}
	return problems, nil
}

// excuse is a comment with a reason.
var excuse = regexp.MustCompile(`(//|#) clock: \S`)

// textClock is what uses the clock in Python and C++.
var textClock = regexp.MustCompile(`\btime\.(sleep|time|monotonic|perf_counter)\w*\(|\bTimer\(|\btimeout=\w+` +
	`|\b(sleep_for|sleep_until|wait_for|wait_until|usleep|nanosleep)\(|\b(steady|system|high_resolution)_clock\b`)

func textClocks(_ string, source []byte) (map[int]string, error) {
	found := map[int]string{}
	for i, line := range bytes.Split(source, []byte("\n")) {
		if what := textClock.Find(line); what != nil && string(what) != "timeout=LIMIT" {
			found[i+1] = string(what)
		}
	}
	return found, nil
}

// Go's, by package.
var (
	looks     = []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.Tick", "time.NewTicker"}
	deadlines = []string{
		"time.After", "time.AfterFunc", "time.NewTimer",
		"context.WithTimeout", "context.WithTimeoutCause", "context.WithDeadline", "context.WithDeadlineCause",
	}
)

func goClocks(path string, source []byte) (map[int]string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	bubbles := slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing/synctest"` })
	found := map[int]string{}
	for _, declaration := range file.Decls {
		function, isFunction := declaration.(*ast.FuncDecl)
		if bubbles && isFunction && !isTest(function.Name.Name) {
			continue // a helper, called in a bubble
		}
		ast.Inspect(declaration, func(n ast.Node) bool {
			call, isCall := n.(*ast.CallExpr)
			if isCall && name(call.Fun) == "synctest.Test" {
				return false
			}
			if isCall && slices.Contains(deadlines, name(call.Fun)) && slices.ContainsFunc(call.Args, endsHang) {
				return false
			}
			if e, ok := n.(ast.Expr); ok && (slices.Contains(looks, name(e)) || slices.Contains(deadlines, name(e))) {
				found[files.Position(n.Pos()).Line] = name(e)
			}
			return true
		})
	}
	return found, nil
}

func isTest(function string) bool {
	return slices.ContainsFunc([]string{"Test", "Benchmark", "Fuzz", "Example"}, func(kind string) bool { return strings.HasPrefix(function, kind) })
}

// name returns PACKAGE.NAME where an expression is that, or "".
func name(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return x.Name + "." + s.Sel.Name
		}
	}
	return ""
}

// endsHang tells whether a duration is one that nothing which works comes near.
func endsHang(duration ast.Expr) bool {
	found := false
	ast.Inspect(duration, func(n ast.Node) bool {
		if i, ok := n.(*ast.Ident); ok && slices.Contains([]string{"Minute", "Hour", "Limit"}, i.Name) {
			found = true
		}
		return true
	})
	return found
}
