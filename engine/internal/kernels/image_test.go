package kernels

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Kinds of what is in a fat binary, as nvcc's fatbinary numbers them.
const (
	kindPTX = 1
	kindELF = 2
)

// inImage lists what a fat binary has: compute capabilities by kind.
func inImage(t *testing.T, image []byte) map[int][]string {
	t.Helper()
	const magic, headerSize = 0xba55ed50, 16
	if len(image) < headerSize || binary.LittleEndian.Uint32(image) != magic {
		t.Fatal("the image is no fat binary")
	}
	found := map[int][]string{}
	for rest := image[headerSize:]; len(rest) > 0; {
		kind, arch := binary.LittleEndian.Uint16(rest), binary.LittleEndian.Uint32(rest[28:])
		header, size := binary.LittleEndian.Uint32(rest[4:]), binary.LittleEndian.Uint64(rest[8:])
		found[int(kind)] = append(found[int(kind)], fmt.Sprintf("%d.%d", arch/10, arch%10))
		rest = rest[uint64(header)+size:]
	}
	return found
}

// TestImage holds the fat binary to docs/gpu.md, which says for each GPU what
// there is for it.
func TestImage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "gpu.md"))
	if err != nil {
		t.Fatal(err)
	}
	has := inImage(t, Image())
	if ptx := has[kindPTX]; !slices.Equal(ptx, []string{"7.5"}) {
		t.Errorf("the image has PTX of %v, want that of 7.5", ptx)
	}
	var own []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+\.\d) \|[^|]*\| ([^|]*) \|$`).FindAllStringSubmatch(string(page), -1) {
		gpu, what := row[1], row[2]
		if what == "machine code of their own" {
			own = append(own, gpu)
			continue
		}
		of, ok := strings.CutPrefix(what, "that of ")
		// of the same generation, and not newer
		if !ok || !slices.Contains(own, of) || strings.Split(of, ".")[0] != strings.Split(gpu, ".")[0] || of > gpu {
			t.Errorf("docs/gpu.md has %q for %s", what, gpu)
		}
	}
	if !slices.Equal(own, has[kindELF]) || len(own) < 9 {
		t.Errorf("docs/gpu.md has machine code of %v, the image of %v", own, has[kindELF])
	}
}

// TestPTX wants PTX that drivers of CUDA 10.0 and all GPUs since 7.5 take, in
// which nothing may be fused, up to a zero.
func TestPTX(t *testing.T) {
	text := PTX()
	if zero := bytes.IndexByte(text, 0); zero != len(text)-1 {
		t.Errorf("of %d bytes the first zero is %d", len(text), zero)
	}
	for _, words := range []string{
		"\n.version 6.3\n", "\n.target sm_75\n", ".visible .entry " + Letterbox + "(", ".visible .entry " + Decode + "(",
	} {
		if !bytes.Contains(text, []byte(words)) {
			t.Errorf("it has no %q", words)
		}
	}
	if fused := regexp.MustCompile(`\b(add|sub|mul|mad)\.(ftz\.)?(sat\.)?f(32|64)\b`).Find(text); fused != nil {
		t.Errorf("it has %s, which a compiler may fuse", fused)
	}
}
