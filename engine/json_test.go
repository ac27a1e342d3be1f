package engine

import (
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"image"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/trtdet/trtdet/imaging"
)

// What the library returns is JSON as the program's is: snake_case, and no field
// without a tag.
func TestResultsAreSnakeCase(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	seen := map[reflect.Type]bool{}
	var walk func(typ reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || !strings.Contains(typ.PkgPath(), "trtdet") || typ == reflect.TypeFor[Detection]() {
			return // Detection has a form of its own
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.IsExported() && name != "-" && !f.Anonymous && !snake.MatchString(name) {
				t.Errorf("%s.%s is %q in JSON", typ, f.Name, name)
			}
			walk(f.Type)
		}
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[Result](), reflect.TypeFor[Stats](), reflect.TypeFor[Throughput](), reflect.TypeFor[Verification](), reflect.TypeFor[Machine](),
		reflect.TypeFor[GPUUse](),
	} {
		walk(typ)
	}
	if len(seen) < 10 {
		t.Errorf("%d types were looked at", len(seen))
	}
	text, err := json.Marshal([]Result{
		{NonFinite: 2, Timing: Timing{Pictures: 4, Network: time.Millisecond}},
		{Detections: []Detection{{Class: "dog"}}},
	})
	const want = `[{"detections":[],"non_finite":2,"timing":{"pictures":4,"read_ns":0,"queue_ns":0,"copy_in_ns":0,"letterbox_ns":0,"network_ns":1000000,` +
		`"decode_ns":0,"copy_out_ns":0,"nms_ns":0}},{"detections":[{"class_id":0,"class":"dog","score":0,"box":[0,0,0,0]}],"non_finite":0,`
	if err != nil || !strings.HasPrefix(string(text), want) {
		t.Errorf("%s, %v", text, err)
	}
	var back []Result
	if err := json.Unmarshal(text, &back); err != nil || back[0].Timing.Network != time.Millisecond || back[1].Detections[0].Class != "dog" {
		t.Errorf("%+v, %v", back, err)
	}
}

// lying is an image, and a context, that panics.
type lying struct {
	image.Image
	context.Context
}

func (lying) Bounds() image.Rectangle { panic("no bounds") }
func (lying) Done() <-chan struct{}   { panic("not done") }

// A caller's panic is the exported error, with its fields.
func TestPanicError(t *testing.T) {
	d, err := Open(t.Context(), carried, &Options{Height: 64, Width: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, ofImage := d.Detect(t.Context(), imaging.Image{Image: lying{}})
	_, ofMany := d.DetectBatch(t.Context(), []imaging.Source{imaging.NewPicture(8, 8), imaging.Image{Image: lying{}}})
	_, ofContext := d.Detect(lying{}, imaging.NewPicture(8, 8))
	for in, err := range map[string]error{"the image": ofImage, "picture 2 of 2: the image": ofMany, "the context": ofContext} {
		var p *PanicError
		if !errors.As(err, &p) || !strings.HasSuffix(in, p.In) || len(p.Stack) == 0 || !strings.HasPrefix(err.Error(), in+" panicked: no") {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// A name for a type that nobody outside can see would hide its fields in go doc.
func TestNoTypeIsHidden(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Assign.IsValid() && spec.Name.IsExported() {
				t.Errorf("%s: %s is another name for a type of another package", file, spec.Name)
			}
			return true
		})
	}
}
