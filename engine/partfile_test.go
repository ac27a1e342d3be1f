package engine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestPartFile(t *testing.T) {
	target := filepath.Join(t.TempDir(), "model.engine")
	first, err := openPart(target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openPart(target); !errors.Is(err, ErrBusy) {
		t.Fatalf("a second build of the same output: %v, want ErrBusy", err)
	}
	if err := overwrite(first.path(), []byte("plan")); err != nil {
		t.Fatal(err)
	}
	if err := first.commit(); err != nil {
		t.Fatal(err)
	}
	second, err := openPart(target) // the output is free as soon as it is whole
	if err != nil {
		t.Fatal(err)
	}
	first.close()
	if _, err := os.Stat(second.path()); err != nil {
		t.Errorf("closing a committed part removed the next one: %v", err)
	}
	second.close()
	if _, err := os.Stat(second.path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a part that was not committed is still there: %v", err)
	}
	if got, err := os.ReadFile(target); err != nil || string(got) != "plan" {
		t.Errorf("the output is %q, %v", got, err)
	}
}

// A build that was killed leaves its part file without a lock.
func TestPartFileTakesOver(t *testing.T) {
	target := filepath.Join(t.TempDir(), "model.engine")
	left := filepath.Join(filepath.Dir(target), ".model.engine.part")
	if err := os.WriteFile(left, []byte("half a plan"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := openPart(target)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := overwrite(p.path(), []byte("plan")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(left); string(got) != "plan" {
		t.Errorf("the part holds %q", got)
	}
}
