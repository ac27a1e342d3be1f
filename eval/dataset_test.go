package eval

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/trtdet/trtdet/model"
)

// tree writes files, by path in a new folder, and returns the folder.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func problemsOf(d *Dataset, folder string) string {
	var lines []string
	for _, kind := range d.Problems.Counts() {
		for _, p := range kind.Kept {
			lines = append(lines, strings.ReplaceAll(p.Error(), folder+"/", ""))
		}
	}
	return strings.Join(lines, "\n")
}

func TestLoadYOLO(t *testing.T) {
	folder := tree(t, map[string]string{
		"data.yaml":              "path: .\ntrain: images/train\nval: [images/val, more.txt]\ntest:\nnames: {0: cat, 1: dog}\n",
		"images/train/b.jpg":     "",
		"images/val/12.jpg":      "",
		"images/val/deep/a.PNG":  "",
		"images/val/empty.webp":  "",
		"images/val/none.jpg":    "",
		"images/val/notes.md":    "",
		"more.txt":               "./images/val/12.jpg\n\n./extra/images/x.bmp\r\n",
		"extra/images/x.bmp":     "",
		"labels/train/b.txt":     "0 0.5 0.5 1 1\n",
		"labels/val/12.txt":      "1 0.5 0.5 0.25 0.5\r\n0 0.1 0.2 0.3 0.2 0.3 0.6 0.1 0.6\n",
		"labels/val/deep/a.txt":  "0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1\n2 0.5 0.5 0.1 0.1\n0 0.5 1.5 0.1 0.1\n0 nan 0.5 0.1 0.1\n0 0.5 0.5 0.1\nx 1 1 1 1\n0 0.5 0.5 0 0.1\n",
		"labels/val/empty.txt":   "",
		"labels/val/stray.txt":   "0 0.5 0.5 0.1 0.1\n",
		"extra/labels/x.txt":     "0.5 0.5 0.5 0.1 0.1\n-1 0.5 0.5 0.1 0.1",
		"extra/labels/y.txt":     "",
		"extra/labels/notes.csv": "",
	})
	d, err := LoadYOLO(filepath.Join(folder, "data.yaml"), "val", 2)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range d.Pictures {
		p := &d.Pictures[i]
		if problem := p.SetSize(100, 200); problem != nil {
			t.Error(problem)
		}
		line := fmt.Sprintf("%s %v", strings.TrimPrefix(p.Path, folder+"/"), p.ID)
		for _, o := range p.Objects {
			line += fmt.Sprintf(" %d:%.4g,%.4g,%.4g,%.4g", o.Class, o.Box[0], o.Box[1], o.Box[2], o.Box[3])
		}
		got = append(got, line)
	}
	want := `extra/images/x.bmp x
images/val/12.jpg 12 1:37.5,50,25,100 0:10,40,20,80
images/val/deep/a.PNG a 0:45,90,10,20 0:50,90,0,20
images/val/empty.webp empty
images/val/none.jpg none`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	wantProblems := `extra/labels/x.txt, line 1: bad line: the class is 0.5
labels/val/deep/a.txt, line 6: bad line: it has 4 numbers, want class x y w h or a polygon of three corners or more
labels/val/deep/a.txt, line 7: bad line: "x" is no number
labels/val/deep/a.txt, line 4: box outside 0..1: 1.5
labels/val/deep/a.txt, line 8: box without area: 0 0.5 0.5 0 0.1
extra/labels/x.txt, line 2: class out of range: class -1, there are 0 to 1
labels/val/deep/a.txt, line 3: class out of range: class 2, there are 0 to 1
labels/val/deep/a.txt, line 2: duplicate label
extra/labels/y.txt: label without picture
labels/val/stray.txt: label without picture
labels/val/deep/a.txt, line 5: not a finite number: nan
labels/val/none.txt: picture without label`
	if text := problemsOf(d, folder); text != wantProblems {
		t.Errorf("problems are\n%s\nwant\n%s", text, wantProblems)
	}
	if m := Evaluate(d, make([][]Detection, len(d.Pictures)), 2, className, Options{}); m.Overall.Objects != 4 {
		t.Errorf("%d objects, want 4", m.Overall.Objects)
	}
	counts := d.Problems.Counts()
	if len(counts) != 8 || counts[0].Kind != BadLine || counts[0].Count != 3 {
		t.Errorf("counts %v", counts)
	}
}

// Datasets as others lay them out: YOLOv5 reads each of them.
func TestLoadYOLOLayouts(t *testing.T) {
	folder := tree(t, map[string]string{
		"real/images/a.jpg": "", "real/labels/a.txt": "\ufeff0 0.5 0.5 0.1 0.1\n",
		"valid/images/b.jpg": "", "valid/labels/b.txt": "0 0.5 0.5 0.1 0.1\n",
		"roboflow.yaml": "val: ../valid/images\n",
		"linked.yaml":   "val: linked/images\n", "inside.yaml": "val: inside/images\n",
		"list.yaml": "val: lists/list.txt\n", "lists/list.txt": "\ufeffreal/images/a.jpg\r\n",
		"absent.yaml": "val: absent.txt\n", "absent.txt": "./real/images/a.jpg\n./gone/images/c.jpg\n",
	})
	for _, d := range []string{"linked", "inside/images", "inside/labels"} {
		if err := os.MkdirAll(filepath.Join(folder, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"linked/images": "../real/images", "linked/labels": "../real/labels",
		"inside/images/deep": "../../real/images", "inside/labels/deep": "../../real/labels",
		"inside/images/again": ".", // and round and round
		"inside/images/lost":  "nowhere",
	} {
		if err := os.Symlink(to, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{
		"roboflow": "valid/images/b.jpg:1",
		"linked":   "linked/images/a.jpg:1",
		"inside":   "inside/images/deep/a.jpg:1",
		"list":     "real/images/a.jpg:1",
		"absent":   "gone/images/c.jpg:0 real/images/a.jpg:1",
	} {
		d, err := LoadYOLO(filepath.Join(folder, file+".yaml"), "val", 1)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var got []string
		for _, p := range d.Pictures {
			got = append(got, fmt.Sprintf("%s:%d", strings.TrimPrefix(p.Path, folder+"/"), len(p.Objects)))
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: pictures are %s, want %s", file, text, want)
		}
	}
}

func TestLoadYOLOFails(t *testing.T) {
	folder := tree(t, map[string]string{
		"none.yaml":  "names: [a]\nval:\n",
		"lost.yaml":  "val: images\nnames: [a]\n",
		"empty.yaml": "val: folder\nnames: [a]\n",
		"file.yaml":  "val: one.jpg\nnames: [a]\n",
		"odd.yaml":   "val: {a: b}\nnames: [a]\n",
		"one.jpg":    "", "folder/notes.txt": "",
		"pipe.yaml": "val: piped\nnames: [a]\n", "piped/a.jpg": "",
	})
	if err := syscall.Mkfifo(filepath.Join(folder, "piped/a.txt"), 0o644); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]struct {
		kind error
		word string
	}{
		"none.yaml":   {ErrDataset, `no pictures for the split "val"; it has none`},
		"lost.yaml":   {fs.ErrNotExist, "images"},
		"empty.yaml":  {ErrDataset, "no pictures in folder; known are .jpg"},
		"file.yaml":   {ErrDataset, "want a folder of pictures or a list"},
		"pipe.yaml":   {ErrDataset, "a.txt: invalid dataset: it is not a regular file"},
		"odd.yaml":    {model.ErrHint, "want a path or a list of paths"},
		"absent.yaml": {fs.ErrNotExist, "absent.yaml"},
	} {
		if _, err := LoadYOLO(filepath.Join(folder, file), "val", 1); !errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.word) {
			t.Errorf("%s: got %v, want %v with %q", file, err, want.kind, want.word)
		}
	}
}

func TestLoadCOCO(t *testing.T) {
	folder := tree(t, map[string]string{
		"instances.json": `{"images":[{"id":9,"file_name":"b.jpg","width":10,"height":20},{"id":2,"file_name":"sub/a.jpg","width":30,"height":40}],
			"categories":[{"id":7,"name":"dog"},{"id":3,"name":"cat"}],
			"annotations":[{"id":1,"image_id":9,"category_id":7,"bbox":[1,2,3,4],"area":5,"iscrowd":1,"segmentation":{"counts":"x"}},
				{"id":2,"image_id":2,"category_id":3,"bbox":[1.5,2,3,4]},
				{"id":3,"image_id":4,"category_id":3,"bbox":[1,2,3,4]},
				{"id":4,"image_id":2,"category_id":4,"bbox":[1,2,3,4]},
				{"id":5,"image_id":2,"category_id":3,"bbox":[1,2,3]},
				{"id":6,"image_id":2,"category_id":3,"bbox":[1,2,0,4]},
				{"id":7,"image_id":2,"category_id":3,"bbox":[1,2,300,4]}]}`,
	})
	file := filepath.Join(folder, "instances.json")
	for _, c := range []struct {
		names   []string
		classes string
	}{
		{nil, "[cat dog] map[0:3 1:7]"},
		{[]string{"dog", "cat"}, "[dog cat] map[0:7 1:3]"},
		{[]string{"horse", "dog", "cat"}, "[horse dog cat] map[1:7 2:3]"}, // the file has a part of the classes
		{[]string{"dog"}, "[dog] map[0:7]"},                               // the model has
		{[]string{"dog", "horse"}, "[cat dog] map[0:3 1:7] \"cat\", is taken for the model's class 0, \"dog\"; \"dog\", is taken for the model's class 1, \"horse\""},
		{[]string{"cat", "Dog"}, "[cat dog] map[0:3 1:7] \"dog\", is taken for the model's class 1, \"Dog\""},
	} {
		d, err := LoadCOCO(folder, file, c.names)
		if err != nil {
			t.Fatal(err)
		}
		var others []string
		for _, kind := range d.Problems.Counts() {
			for _, p := range kind.Kept {
				if p.Kind == OtherName {
					others = append(others, p.Text[len("category 7, "):])
				}
			}
		}
		if got := strings.TrimSpace(fmt.Sprint(d.Names, " ", d.Categories, " ", strings.Join(others, "; "))); got != c.classes {
			t.Errorf("names %v: classes are %s, want %s", c.names, got, c.classes)
		}
	}
	dogs, err := LoadCOCO(folder, file, []string{"dog"})
	if err != nil {
		t.Fatal(err)
	}
	if text := problemsOf(dogs, folder); !strings.Contains(text, "annotation 2: class out of range: the model has no class of the name of category 3") {
		t.Errorf("problems of a model with a part of the classes are\n%s", text)
	}
	d, err := LoadCOCO(folder, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("[{%[1]s/sub/a.jpg 2 30 40 [{0 [1.5 2 3 4] 12 false} {0 [1 2 0 4] 0 false} {0 [1 2 300 4] 1200 false}] false} {%[1]s/b.jpg 9 10 20 [{1 [1 2 3 4] 5 true}] false}]", folder)
	if got := fmt.Sprint(d.Pictures); got != want {
		t.Errorf("pictures are\n%s\nwant\n%s", got, want)
	}
	wantProblems := `instances.json, annotation 5: bad line: bbox has 3 numbers, want x, y, width, height
instances.json, annotation 7: box outside the picture: bbox [1 2 300 4], the picture is 30x40
instances.json, annotation 6: box without area: bbox [1 2 0 4]
instances.json, annotation 4: class out of range: there is no category 4
instances.json, annotation 3: label without picture: there is no image 4`
	if got := problemsOf(d, folder); got != wantProblems {
		t.Errorf("problems are\n%s\nwant\n%s", got, wantProblems)
	}
	if problem := d.Pictures[0].SetSize(40, 30); problem == nil || problem.Kind != WrongSize {
		t.Errorf("a picture of another size: %v", problem)
	}
}

// What other programs leave among pictures and labels is no problem, and a
// picture that is not there is one.
func TestLoadYOLOWithoutNoise(t *testing.T) {
	folder := tree(t, map[string]string{
		"data.yaml": "val: list.txt\n", "list.txt": "images/a.jpg\nREADME.md\nimages/gone.jpg\nimages/b.jpg\n", "README.md": "",
		"images/a.jpg": "", "labels/a.txt": "0 0.5 0.5 0.1 0.1\n", "images/b.jpg": "", "labels/classes.txt": "dog\n3 cats\n7\n",
	})
	d, err := LoadYOLO(filepath.Join(folder, "data.yaml"), "val", 1)
	if err != nil || len(d.Pictures) != 3 {
		t.Fatalf("%v, %v", d, err)
	}
	if got := problemsOf(d, folder); got != "labels/b.txt: picture without label" {
		t.Errorf("problems are\n%s", got)
	}
	// labels of a lost picture that happens to be called so
	if err := os.WriteFile(filepath.Join(folder, "labels/classes.txt"), []byte("7 0.5 0.5 0.1 0.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err = LoadYOLO(filepath.Join(folder, "data.yaml"), "val", 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := problemsOf(d, folder); !strings.Contains(got, "labels/classes.txt: label without picture") {
		t.Errorf("problems are\n%s", got)
	}
}

func TestSharedIDs(t *testing.T) {
	folder := tree(t, map[string]string{"data.yaml": "val: images\n", "images/a/1.jpg": "", "images/b/01.jpg": "", "images/b/x.jpg": "", "images/c/1.png": ""})
	d, err := LoadYOLO(filepath.Join(folder, "data.yaml"), "val", 1)
	if err != nil {
		t.Fatal(err)
	}
	if n, one, other := d.SharedIDs(); n != 2 || one != folder+"/images/a/1.jpg" || other != folder+"/images/b/01.jpg" {
		t.Errorf("%d, %s and %s", n, one, other)
	}
	d.Pictures = d.Pictures[1:3]
	if n, _, _ := d.SharedIDs(); n != 0 {
		t.Errorf("%d of different ids", n)
	}
}

// A problem is one line on a screen, whatever the label file has.
func TestProblemsAreShort(t *testing.T) {
	for _, line := range []string{"0 " + strings.Repeat("0.5 ", 1000), strings.Repeat("x", 5000), "0 nan" + strings.Repeat("0", 5000) + " 1 1 1"} {
		var problems Problems
		parseLabels([]byte(line), "x.txt", 1, &problems)
		if problems.Total() != 1 || len(problems.Counts()[0].First.Text) > 200 {
			t.Errorf("%.20q: problems are %v", line, problems.Counts())
		}
	}
}

// A label file of nothing but bad lines takes about the memory that a good one
// does: all are counted, few are kept.
func TestManyProblems(t *testing.T) {
	const lines = 1 << 20
	b := bytes.Repeat([]byte("x\n"), lines)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var problems Problems
	parseLabels(b, "x.txt", 1, &problems)
	runtime.GC()
	runtime.ReadMemStats(&after)
	counts := problems.Counts()
	if problems.Total() != lines || len(counts) != 1 || counts[0].Count != lines || len(counts[0].Kept) != keptProblems ||
		counts[0].First != counts[0].Kept[0] || counts[0].Kept[4].Line != 5 {
		t.Errorf("problems are %d, %+v", problems.Total(), counts)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("%d bytes are held", grown)
	}
	runtime.KeepAlive(problems)
}

// What tools other than COCO's own write for the same things.
func TestLoadCOCOOfOtherTools(t *testing.T) {
	folder := tree(t, map[string]string{
		"i.json": "\ufeff" + `{"images":[{"id":"b","file_name":"b.jpg"},{"id":"a","file_name":"a.jpg","width":30.0,"height":40.0}],
			"categories":[{"id":3.0,"name":"cat"}],
			"annotations":[{"id":"x","image_id":"a","category_id":3.0,"bbox":[1,2,3,4],"iscrowd":false,"more":{}},
				{"id":2,"image_id":"b","category_id":3,"bbox":[1,2,3,4],"iscrowd":true},
				{"id":3,"image_id":"a","category_id":3,"bbox":["1",2,3,4]},
				{"id":4,"image_id":"a","category_id":3,"bbox":null},
				{"id":5,"image_id":"a","category_id":3,"bbox":[1,2,3,4],"iscrowd":"no"}]}`,
	})
	d, err := LoadCOCO(folder, filepath.Join(folder, "i.json"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("[{%[1]s/a.jpg a 30 40 [{0 [1 2 3 4] 12 false}] false} {%[1]s/b.jpg b 0 0 [{0 [1 2 3 4] 12 true}] false}]", folder)
	if got := fmt.Sprint(d.Pictures); got != want {
		t.Errorf("pictures are\n%s\nwant\n%s", got, want)
	}
	wantProblems := `i.json, annotation 3: bad line: bbox is JSON's string
i.json, annotation 4: bad line: bbox has 0 numbers, want x, y, width, height
i.json, annotation 5: bad line: iscrowd is JSON's string`
	if got := problemsOf(d, folder); got != wantProblems {
		t.Errorf("problems are\n%s\nwant\n%s", got, wantProblems)
	}
}

// Python's json.dump writes NaN and Infinity, which are no JSON.
func TestLoadCOCOOfPython(t *testing.T) {
	folder := tree(t, map[string]string{
		"i.json": `{"info":{"year":NaN,"text":"a \"NaN\\"},"images":[{"id":1,"file_name":"NaN, -Infinity.jpg","width":NaN,"height":Infinity},
			{"id":2,"file_name":"b.jpg","width":30,"height":40,"depth":-Infinity}],"categories":[{"id":1,"name":"a"}],
			"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[1,NaN,3,4]},
				{"id":2,"image_id":1,"category_id":1,"bbox":[1,-2,3,4],"score":NaN},
				{"id":3,"image_id":1,"category_id":1,"bbox":[1,2,Infinity,-Infinity],"area":12},
				{"id":4,"image_id":1,"category_id":1,"bbox":[1,2,3,4],"area":NaN},
				{"id":5,"image_id":1,"category_id":1,"bbox":[1,2,3,null]},
				{"id":6,"image_id":NaN,"category_id":1,"bbox":[1,2,3,4]},
				{"id":NaN,"image_id":1,"category_id":1,"bbox":[5,6,7,8],"area":9}]}`,
	})
	d, err := LoadCOCO(folder, filepath.Join(folder, "i.json"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("[{%[1]s/NaN, -Infinity.jpg 1 0 0 [{0 [1 -2 3 4] 12 false} {0 [5 6 7 8] 9 false}] false} {%[1]s/b.jpg 2 30 40 [] false}]", folder)
	if got := fmt.Sprint(d.Pictures); got != want {
		t.Errorf("pictures are\n%s\nwant\n%s", got, want)
	}
	wantProblems := `i.json, annotation 1: not a finite number: bbox [1 NaN 3 4]
i.json, annotation 3: not a finite number: bbox [1 2 NaN NaN]
i.json, annotation 4: not a finite number: area
i.json, annotation 5: not a finite number: bbox [1 2 3 NaN]
i.json, annotation 6: not a finite number: image_id`
	if got := problemsOf(d, folder); got != wantProblems {
		t.Errorf("problems are\n%s\nwant\n%s", got, wantProblems)
	}
}

// Words are found wherever reads end, and texts are left alone.
func TestBareWords(t *testing.T) {
	for text, want := range map[string]string{
		`[NaN,Infinity,-Infinity]`:  `["" ,""      ,""       ]`,
		`["NaN","a\"NaN","\\",NaN]`: `["NaN","a\"NaN","\\","" ]`,
		`[Na,-1,-Infinit,N`:         `[Na,-1,-Infinit,N`,
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text)), "in halves": iotest.HalfReader(strings.NewReader(text)),
		} {
			for _, part := range []int{1, 2, 3, 5, 100} {
				var got []byte
				for reader, buffer := (&bareWordReader{r: bufio.NewReaderSize(r, 16)}), make([]byte, part); ; {
					n, err := reader.Read(buffer)
					if got = append(got, buffer[:n]...); err != nil {
						break
					}
				}
				if string(got) != want {
					t.Errorf("%s %s, %d bytes at once: %s, want %s", text, name, part, got, want)
				}
				r = strings.NewReader(text)
			}
		}
	}
}

// Many tools leave the pictures' sizes out: boxes are pixels all the same.
func TestLoadCOCOWithoutSizes(t *testing.T) {
	folder := tree(t, map[string]string{
		"i.json": `{"images":[{"id":1,"file_name":"a.jpg"}],"categories":[{"id":1,"name":"a"}],
			"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[1,2,3,4],"area":5}]}`,
	})
	d, err := LoadCOCO(folder, filepath.Join(folder, "i.json"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &d.Pictures[0]
	if problem := p.SetSize(30, 40); problem != nil || p.Width != 30 || p.Objects[0].Box != [4]float64{1, 2, 3, 4} || p.Objects[0].Area != 5 {
		t.Errorf("%+v, %v", p, problem)
	}
}

func TestLoadCOCOFails(t *testing.T) {
	const cats = `"categories":[{"id":1,"name":"a"}]`
	for text, word := range map[string]string{
		"":                                      "it is empty",
		"[]":                                    "it is JSON's array; COCO's instances.json is an object",
		`{"images":[`:                           "it ends too early",
		"{}":                                    "lists 0 images",
		`{"images":[{"id":1,"file_name":"a"}]}`: "0 categories",
		`{"images":[{"file_name":"a"}],` + cats + `}`:                                                  "image 0 has no id",
		`{"images":[{"id":1},{"id":1}],` + cats + `}`:                                                  "no file_name",
		`{"images":[{"id":1,"file_name":"a"},{"id":1,"file_name":"b"}],` + cats + `}`:                  "two images have the id 1",
		`{"images":[{"id":1,"file_name":"a"}],"categories":[{"id":1,"name":"a"},{"id":1,"name":"b"}]}`: "two categories have the id 1",
		`{"images":[{"id":1,"file_name":"a","width":NaN},nope],` + cats + `}`:                          "it is not JSON at byte 50",
		`{"images":[{"id":1,"file_name":"a"}],` + cats + `}{}`:                                         "something follows",
		`{"images":[{"id":1.5,"file_name":"a"}],` + cats + `}`:                                         "images.id is JSON's number 1.5",
		`{"images":[{"id":1,"file_name":"a","width":"1"}],` + cats + `}`:                               "images.width is JSON's string",
	} {
		folder := tree(t, map[string]string{"i.json": text})
		if _, err := LoadCOCO(folder, filepath.Join(folder, "i.json"), nil); !errors.Is(err, ErrDataset) || !strings.Contains(err.Error(), word) {
			t.Errorf("%.60q: got %v, want %q", text, err, word)
		}
	}
}

// A class without a category must not be written as another one's.
func TestWriteResultsWithoutCategory(t *testing.T) {
	d := &Dataset{Categories: map[int]int{0: 1}, Pictures: []Picture{{ID: int64(5)}}}
	var b strings.Builder
	if err := WriteResults(&b, d, [][]Detection{{{Class: 1, Score: 0.5}, {Class: 0, Score: 0.25}}}); err != nil {
		t.Fatal(err)
	}
	if want := "[\n{\"image_id\":5,\"category_id\":1,\"bbox\":[0,0,0,0],\"score\":0.25}\n]\n"; b.String() != want {
		t.Errorf("got %s, want %s", b.String(), want)
	}
}

// TestNothingToFind holds that there is no figure where there is nothing to
// measure, and no division by zero.
func TestNothingToFind(t *testing.T) {
	d := &Dataset{Pictures: []Picture{{Width: 10, Height: 10}}}
	m := Evaluate(d, [][]Detection{{{Class: 0, Score: 0.5}}}, 2, className, Options{ConfSweep: []float32{0.25}})
	for _, f := range append(m.Overall.stats(), m.Overall.YOLOv5.MAP50, m.BestF1.F1, m.ConfSweep[0].Precision) {
		if !math.IsNaN(float64(f)) {
			t.Errorf("figure %v, want none", f)
		}
	}
	if m.ConfSweep[0].FalsePositives != 1 || len(m.Classes) != 0 {
		t.Errorf("%+v", m)
	}
	text, err := json.Marshal(struct {
		*Metrics
		Problems []ProblemCount
	}{m, d.Problems.Counts()})
	if err != nil || !strings.Contains(string(text), `"classes":[]`) || !strings.Contains(string(text), `"Problems":[]`) {
		t.Errorf("lists of nothing: %s %v", text, err)
	}
	b, err := Figure(math.NaN()).MarshalJSON()
	if err != nil || string(b) != "null" {
		t.Errorf("%s %v", b, err)
	}
}

// TestAtConf counts by hand.
func TestAtConf(t *testing.T) {
	box := func(x float64) [4]float64 { return [4]float64{x, 0, 10, 10} }
	at := func(x float32, class int, score float32) Detection {
		det := Detection{Class: class, Score: score}
		det.Box.X1, det.Box.X2, det.Box.Y2 = x, x+10, 10
		return det
	}
	d := &Dataset{Pictures: []Picture{{Width: 100, Height: 10, Objects: []Object{
		{Class: 0, Box: box(0), Area: 100}, {Class: 0, Box: box(20), Area: 100}, {Class: 1, Box: box(40), Area: 100}}}}}
	detections := [][]Detection{{at(0, 0, 0.9), at(41, 1, 0.8), at(1, 0, 0.7), at(60, 0, 0.5), at(20, 0, 0.25)}}
	m := Evaluate(d, detections, 3, className, Options{ConfSweep: []float32{0.25, 0.6}})
	low, high := m.ConfSweep[0], m.ConfSweep[1]
	// class 0: 1 of 3, then 1 of 2 found of 2; class 1: 1 of 1
	if low.TruePositives != 2 || low.FalsePositives != 2 || math.Abs(float64(low.Precision)-(1.0/3+1)/2) > 1e-12 || low.Recall != 0.75 {
		t.Errorf("at 0.25: %+v", low)
	}
	if high.TruePositives != 2 || high.FalsePositives != 1 || high.Precision != 0.75 || math.Abs(float64(high.F1)-(0.5+1)/2) > 1e-12 {
		t.Errorf("at 0.6: %+v", high)
	}
	if math.Abs(float64(high.MeanScoreTrue)-0.85) > 1e-6 || math.Abs(float64(high.MeanScoreFalse)-0.7) > 1e-6 {
		t.Errorf("mean scores at 0.6: %v %v", high.MeanScoreTrue, high.MeanScoreFalse)
	}
	if len(low.Classes) != 2 || low.Classes[1].Recall != 1 {
		t.Errorf("classes: %+v", low.Classes)
	}
}

// FuzzLabels reads any text: what is taken is a label, and nothing is lost
// without a word.
func FuzzLabels(f *testing.F) {
	f.Add([]byte("0 0.5 0.5 0.25 0.5\n1 0.1 0.2 0.3 0.2 0.3 0.6\n"), 2)
	f.Add([]byte("0 0.5 0.5 0.25 0.5\r\n0 0.5 0.5 0.25 0.5\r\n\r\n"), 1)
	f.Add([]byte("1e400 0 0 0 0\n0x1p-2 1 1 1 1\n-0 0 0 1 1\n+inf 0 nan 0 0"), 80)
	f.Add([]byte("0\t1_0 1 1 1\n0 1 1 1 1 1 1 1\n\x00\xff"), 3)
	f.Fuzz(func(t *testing.T, b []byte, classes int) {
		var problems Problems
		objects := parseLabels(b, "x.txt", classes, &problems)
		for _, o := range objects {
			if o.Class < 0 || o.Class >= classes {
				t.Fatalf("class %d of %d", o.Class, classes)
			}
			for i, v := range o.Box {
				if !(v >= -0.5 && v <= 1.5) || (i >= 2 && v < 0) {
					t.Fatalf("box %v", o.Box)
				}
			}
		}
		lines, kept := 0, 0
		for line := range strings.Lines(string(b)) {
			if strings.TrimSpace(line) != "" {
				lines++
			}
		}
		for _, c := range problems.Counts() {
			if c.Kind == EmptyBox {
				kept = c.Count
			}
		}
		if len(objects)+problems.Total()-kept != lines {
			t.Fatalf("%d objects and %d problems of %d lines", len(objects), problems.Total(), lines)
		}
	})
}
