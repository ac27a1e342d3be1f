package cuda

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// documented reads the statuses off a cuda.h: number and comment by name.
func documented(t *testing.T, header string) map[string]struct {
	status int
	says   string
} {
	t.Helper()
	text, err := os.ReadFile(header)
	if err != nil {
		t.Fatal(err)
	}
	_, enum, _ := strings.Cut(string(text), "typedef enum cudaError_enum {")
	enum, _, _ = strings.Cut(enum, "} CUresult;")
	all := map[string]struct {
		status int
		says   string
	}{}
	for _, m := range regexp.MustCompile(`(?s)/\*\*(.*?)\*/\s*(CUDA_\w+)\s*=\s*(\d+)`).FindAllStringSubmatch(enum, -1) {
		s := all[m[2]]
		s.status, _ = strconv.Atoi(m[3])
		s.says = strings.Join(strings.Fields(strings.ReplaceAll(m[1], "*", " ")), " ")
		all[m[2]] = s
	}
	if len(all) < 90 {
		t.Fatalf("%s has only %d statuses: it is read wrongly", header, len(all))
	}
	return all
}

// TestStatusesOfCUDA holds the statuses that a GPU is lost by to what the
// headers of CUDA 12 and 13 say of them.
func TestStatusesOfCUDA(t *testing.T) {
	deps := filepath.Join("..", "..", "..", "build", "deps")
	for _, of := range []string{"cuda", "nvcc"} {
		header := filepath.Join(deps, of, "include", "cuda.h")
		var found []int
		for name, s := range documented(t, header) {
			e := &Error{Status: s.status}
			if strings.Contains(s.says, "process must be terminated") {
				found = append(found, s.status)
				if !e.Permanent() {
					t.Errorf("%s: after %s (%d) only a new process helps: %s", header, name, s.status, s.says)
				}
			}
			if strings.Contains(s.says, "any further CUDA work will return the same error") && !e.Permanent() ||
				strings.Contains(s.says, "context cannot be used anymore") && !e.Lost() {
				t.Errorf("%s: %s (%d) ends a context: %s", header, name, s.status, s.says)
			}
		}
		for _, status := range restart {
			if !slices.Contains(found, status) {
				t.Errorf("%s does not say that after %d the process must be terminated", header, status)
			}
		}
	}
}

// What can pass is not permanent, and what is permanent is found among others.
func TestPermanent(t *testing.T) {
	for status, want := range map[int]struct{ lost, permanent bool }{
		2:   {false, false}, // OUT_OF_MEMORY
		46:  {true, false},  // DEVICE_UNAVAILABLE: in use by another process
		214: {true, false},  // ECC_UNCORRECTABLE
		226: {true, true},   // CONTAINED
		600: {false, false}, // NOT_READY
		700: {true, true},   // ILLEGAL_ADDRESS
		709: {true, false},  // CONTEXT_IS_DESTROYED
		710: {true, false},  // ASSERT: a new context works
		802: {false, false}, // SYSTEM_NOT_READY
		999: {true, false},  // UNKNOWN
	} {
		failure := &Error{Call: "cuMemAlloc", Status: status}
		loss := lossOf(&Device{}, failure, nil)
		wrapped := fmt.Errorf("cuda:1: %w", errors.Join(errors.New("other"), &Error{Status: outOfMemory}, loss))
		for _, err := range []error{failure, wrapped} {
			if isLost(err) != want.lost || Permanent(err) != want.permanent {
				t.Errorf("%v: lost %t, permanent %t, want %+v", err, isLost(err), Permanent(err), want)
			}
		}
	}
	if Permanent(nil) || Permanent(errors.New("other")) {
		t.Error("an error that is not the driver's is permanent")
	}
}
