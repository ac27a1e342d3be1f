package main

import (
	"testing"

	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model"
)

func TestConfWords(t *testing.T) {
	for _, c := range []struct {
		kind decode.Kind
		conf float32
		want string
	}{
		{decode.DecoupledBase, 0.5, "conf 0.5, the article's default for decoupled-base heads; --conf-thres changes it"},
		{decode.Decoupled, 0.4, "conf 0.4, the article's default for decoupled heads; --conf-thres changes it"},
		{decode.Coupled, 0.25, "conf 0.25, YOLOv5's default; --conf-thres changes it"},
		{decode.KindUnknown, 0.25, "conf 0.25, YOLOv5's default; --conf-thres changes it"},
		{decode.DecoupledBase, 0.3, "conf 0.3, as the engine was built; --conf-thres changes it"},
	} {
		got := confWords(model.Spec{Head: decode.Head{Kind: c.kind}, Thresholds: decode.Thresholds{Conf: c.conf}})
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.kind, got, c.want)
		}
	}
}
