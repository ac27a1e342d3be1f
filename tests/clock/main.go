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
		problems, err := check(path, string(source))
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
		fmt.Println("tests wait for what happens (tests/await, a line, a channel) or run in testing/synctest;",
			"otherwise: // clock: REASON")
		os.Exit(1)
	}
}

// check returns FILE:LINE: PROBLEM for each line of a test that needs a reason
// and has none, and for each that has one and needs none.
func check(path, source string) ([]string, error) {
	read := readText
	if filepath.Ext(path) == ".go" {
		read = readGo
	}
	clocks, reasons, err := read(path, source)
	if err != nil {
		return nil, err
	}
	var problems []string
	for line := 1; line <= strings.Count(source, "\n")+1; line++ {
		switch what := clocks[line]; {
		case what != "" && !reasons[line]:
			problems = append(problems, fmt.Sprintf("%s:%d: %s", path, line, what))
		case what == "" && reasons[line]:
			problems = append(problems, fmt.Sprintf("%s:%d: no clock on this line", path, line))
		}
	}
	return problems, nil
}

// reason is a comment that has one.
var reason = regexp.MustCompile(`(//|#) clock: \S`)

// textClock is what uses the clock in Python and C++.
var textClock = regexp.MustCompile(`\btime\.(sleep|time|monotonic|perf_counter)\w*\(|\bTimer\(|\btimeout=\w+` +
	`|\b(sleep_for|sleep_until|wait_for|wait_until|usleep|nanosleep)\(|\b(steady|system|high_resolution)_clock\b`)

// readText returns the lines that use the clock, and those that say why.
func readText(_, source string) (clocks map[int]string, reasons map[int]bool, err error) {
	clocks, reasons = map[int]string{}, map[int]bool{}
	for i, line := range strings.Split(source, "\n") {
		if what := textClock.FindString(line); what != "timeout=LIMIT" {
			clocks[i+1] = what
		}
		reasons[i+1] = reason.MatchString(line)
	}
	return clocks, reasons, nil
}

// Go's, by package.
var (
	looks     = []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.Tick", "time.NewTicker"}
	deadlines = []string{
		"time.After", "time.AfterFunc", "time.NewTimer",
		"context.WithTimeout", "context.WithTimeoutCause", "context.WithDeadline", "context.WithDeadlineCause",
	}
)

// readGo does the same.
func readGo(path, source string) (clocks map[int]string, reasons map[int]bool, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, err
	}
	clocks, reasons = map[int]string{}, map[int]bool{}
	line := func(n ast.Node) int { return files.Position(n.Pos()).Line }
	for _, group := range file.Comments {
		for _, c := range group.List {
			reasons[line(c)] = reason.MatchString(c.Text)
		}
	}
	bubbles := slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool {
		return i.Path.Value == `"testing/synctest"`
	})
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
				clocks[line(e)] = name(e)
			}
			return true
		})
	}
	return clocks, reasons, nil
}

func isTest(function string) bool {
	for _, kind := range []string{"Test", "Benchmark", "Fuzz", "Example"} {
		if strings.HasPrefix(function, kind) {
			return true
		}
	}
	return false
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
