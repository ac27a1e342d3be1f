package cuda

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// allowed are the functions and methods of gorgonia.org/cu that are used. Each
// was tried and does what the driver's call of that name does. Of the rest,
// Ctx and its kin destroy contexts in finalizers, PtrAttribute and LoadDataEx
// read memory that they should not, and Query, CurrentContext and PopCurrentCtx allocate.
var allowed = []string{
	"NumDevices", "GetDevice", "PushCurrentCtx", "MemInfo", "MemAlloc", "MemFree", "MemcpyHtoDAsync", "MemcpyDtoHAsync",
	"MakeStream", "MakeEvent", "DestroyEvent", "LoadData",
	// types and constants
	"Device", "CUContext", "DevicePtr", "Stream", "Event", "Module", "Function", "NonBlocking", "BlockingSyncEvent", "DisableTiming",
}

// TestAllowedCalls holds this package, but for its tests, to them. Methods are not seen here: they
// are few, and each is in a line with the name of the driver's call.
func TestAllowedCalls(t *testing.T) {
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, entry := range names {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), entry.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if of, ok := selector.X.(*ast.Ident); ok && of.Name == "cu" {
				used[selector.Sel.Name] = true
				if !slices.Contains(allowed, selector.Sel.Name) {
					t.Errorf("%s: cu.%s is not among the calls that may be used", entry.Name(), selector.Sel.Name)
				}
			}
			return true
		})
	}
	for _, name := range allowed {
		if !used[name] {
			t.Errorf("cu.%s is allowed and not used", name)
		}
	}
}
