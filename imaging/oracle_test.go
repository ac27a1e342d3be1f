package imaging

import (
	"strings"
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/tests/oracle"
)

// TestLetterboxAgainstCV2 holds the letterbox to cv2.resize and
// copyMakeBorder: 98 % of the pixels equal, the rest one level off.
func TestLetterboxAgainstCV2(t *testing.T) {
	var cases struct {
		CV2       string
		Letterbox []struct {
			Name      string
			Size      [4]int
			Resized   [2]int
			Placement decode.Placement
			Pixels    oracle.Blob
			Want      oracle.Blob
		}
	}
	blobs := oracle.Load(t, oracle.Venv, "imaging_cases.py", &cases)
	if !strings.HasPrefix(cases.CV2, "4.") {
		t.Fatalf("the oracle's cv2 is %s, want 4.x; run make setup", cases.CV2)
	}
	exact, worst := 0, 0.0
	for _, c := range cases.Letterbox {
		fit := decode.NewFit(c.Size[0], c.Size[1], c.Size[2], c.Size[3], c.Placement)
		if fit.ResizedW != c.Resized[0] || fit.ResizedH != c.Resized[1] {
			t.Errorf("%s: resized to %dx%d, the oracle to %v", c.Name, fit.ResizedW, fit.ResizedH, c.Resized)
			continue
		}
		p := &Picture{Width: c.Size[0], Height: c.Size[1], Pix: blobs.Bytes(c.Pixels)}
		got, want := interleaved(p, fit), blobs.Bytes(c.Want)
		differ, greatest := 0, 0
		for i := 0; i < len(got); i += 3 {
			d := 0
			for k := range 3 {
				d = max(d, int(got[i+k])-int(want[i+k]), int(want[i+k])-int(got[i+k]))
			}
			if d > 0 {
				differ++
			}
			greatest = max(greatest, d)
		}
		share := float64(differ) / float64(fit.ResizedW*fit.ResizedH)
		if share > 0.02 || greatest > 1 {
			t.Errorf("%s: %.2f %% of the picture's pixels differ, by %d at most", c.Name, 100*share, greatest)
		}
		worst = max(worst, share)
		if differ == 0 {
			exact++
		}
		checkPlanes(t, p, fit, got)
	}
	t.Logf("cv2 %s: %d of %d pictures equal to the bit, at most %.3f %% of the pixels differ", cases.CV2, exact, len(cases.Letterbox), 100*worst)
}

// interleaved is the letterbox as YOLOv5's own function returns it: (H, W, 3),
// 8-bit RGB.
func interleaved(p *Picture, fit decode.Fit) []byte {
	plane := fit.InputW * fit.InputH
	planes, pixels := make([]float32, 3*plane), make([]byte, 3*plane)
	Letterbox(planes, p, fit, decode.Preprocess{ChannelOrder: decode.RGB, PixelRange: 255})
	for i := range planes {
		pixels[i%plane*3+i/plane] = byte(planes[i])
	}
	return pixels
}

// checkPlanes holds the planes of YOLOv5 and YOLOX to the bytes.
func checkPlanes(t *testing.T, p *Picture, fit decode.Fit, laid []byte) {
	t.Helper()
	plane := fit.InputW * fit.InputH
	got := make([]float32, 3*plane)
	for _, pre := range []decode.Preprocess{decode.YOLOv5.Preprocess(), decode.YOLOX.Preprocess()} {
		Letterbox(got, p, fit, pre)
		for i := range plane {
			for k := range 3 {
				from := k
				if pre.ChannelOrder == decode.BGR {
					from = 2 - k
				}
				want := float32(laid[3*i+from])
				if pre.PixelRange == 1 {
					want /= 255
				}
				if got[k*plane+i] != want {
					t.Fatalf("%+v: channel %d, pixel %d is %g, want %g", fit, k, i, got[k*plane+i], want)
				}
			}
		}
	}
}
