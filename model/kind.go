package model

import (
	"github.com/trtdet/trtdet/decode"
	"github.com/trtdet/trtdet/model/onnx"
)

// activation returns the tensor an activation function was applied to; ok is
// false where name is not the output of one. SiLU and Mish are a Mul of a
// tensor with a function of itself.
func (r *reading) activation(name string) (input string, ok bool) {
	n := r.index.Producer(r.back(name))
	switch {
	case n.Is("Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Clip", "HardSwish", "Mish", "Gelu", "Swish", "Tanh", "Sigmoid"):
		return r.back(n.Input(0)), true
	case n.Is("Mul") && len(n.Inputs) == 2:
		for i := range 2 {
			gate := r.index.Producer(r.back(n.Inputs[i]))
			other := r.back(n.Inputs[1-i])
			if gate.Is("Tanh") {
				gate = r.index.Producer(r.back(gate.Input(0)))
			}
			if gate.Is("Sigmoid", "HardSigmoid", "Softplus") && r.back(gate.Input(0)) == other {
				return other, true
			}
		}
	}
	return "", false
}

// layer returns the conv behind a tensor that is a conv with or without
// BatchNormalization and activation, nil where it is something else.
func (r *reading) layer(name string) *onnx.Node {
	name = r.back(name)
	if input, ok := r.activation(name); ok {
		name = input
	}
	n := r.index.Producer(name)
	if n.Is("BatchNormalization") {
		n = r.index.Producer(r.back(n.Input(0)))
	}
	if !n.Is("Conv") {
		return nil
	}
	return n
}

// kernel returns the larger side of a conv's kernel.
func (r *reading) kernel(conv *onnx.Node) int {
	k := 0
	if list := conv.Ints("kernel_shape"); list != nil {
		for _, v := range list {
			k = max(k, int(v))
		}
		return k
	}
	if s := r.shape(conv.Input(1)); len(s) == 4 {
		k = max(s[2], s[3])
	}
	return k
}

// branch follows a branch of a head up from the feature map that its last conv
// reads: the tensors on the way and the conv that makes each from the next.
func (r *reading) branch(last *onnx.Node) (tensors []string, convs []*onnx.Node) {
	name := r.back(last.Input(0))
	tensors = []string{name}
	for range 8 {
		c := r.layer(name)
		if c == nil {
			break
		}
		name = r.back(c.Input(0))
		tensors, convs = append(tensors, name), append(convs, c)
	}
	return tensors, convs
}

// readers counts the nodes that use a tensor, repetitions of it and shapes
// aside.
func (r *reading) readers(name string) int {
	seen := map[*onnx.Node]bool{}
	count := 0
	names := []string{name}
	for len(names) > 0 {
		name, names = names[0], names[1:]
		for _, n := range r.index.Consumers(name) {
			if seen[n] || n.Is("Shape", "Size") {
				continue
			}
			seen[n] = true
			if transparent(n) {
				names = append(names, n.Outputs...)
				continue
			}
			count++
		}
	}
	return count
}

// kind tells how a head is built, KindUnknown where it is none of those known.
func (r *reading) kind(levels []*level) decode.Kind {
	votes := map[decode.Kind]int{}
	manyReaders := false
	for _, l := range levels {
		k, many := r.levelKind(l)
		votes[k]++
		manyReaders = manyReaders || many
	}
	if len(votes) == 1 || votes[decode.DecoupledBase]+votes[decode.Decoupled] < len(levels) {
		for k, n := range votes {
			if n == len(levels) && !(k == decode.DecoupledBase && manyReaders) {
				return k
			}
		}
	}
	// Levels that disagree, or a base conv that something else reads too: a
	// feature map with a third reader is what the next level is made of, and a
	// base conv's output is nobody else's.
	switch {
	case votes[decode.DecoupledBase]+votes[decode.Decoupled] < len(levels):
		return decode.KindUnknown
	case manyReaders || votes[decode.Decoupled] >= votes[decode.DecoupledBase]:
		return decode.Decoupled
	}
	return decode.DecoupledBase
}

// levelKind tells the kind of one level. many is set where its branches start
// from a tensor that has readers beside the two branches.
func (r *reading) levelKind(l *level) (k decode.Kind, many bool) {
	if len(l.convs) == 1 {
		return decode.Coupled, false
	}
	box, conf, labels, ok := r.parts(l)
	if !ok {
		return decode.KindUnknown, false
	}
	regression, regConvs := r.branch(box)
	classes, clsConvs := r.branch(labels)
	if r.back(conf.Input(0)) != regression[0] {
		return decode.KindUnknown, false
	}
	for i, name := range regression {
		for j, other := range classes {
			if name != other {
				continue
			}
			reg, cls := r.wide(regConvs[:i]), r.wide(clsConvs[:j])
			switch {
			case reg == 0 && cls == 0:
				return decode.Coupled, false // three convs on one map do what one would
			case reg == 2 && cls == 2:
				return decode.KindYOLOX, false
			case reg != 1 || cls != 1:
				return decode.KindUnknown, false
			}
			many = r.readers(name) > 2
			if !many && r.isBase(name) {
				return decode.DecoupledBase, many
			}
			return decode.Decoupled, many
		}
	}
	return decode.KindUnknown, false
}

// wide counts the convs with a kernel over 1x1: the 1x1 half of a depthwise
// pair is not one of its own.
func (r *reading) wide(convs []*onnx.Node) (n int) {
	for _, c := range convs {
		if r.kernel(c) > 1 {
			n++
		}
	}
	return n
}

// isBase tells a base conv from the 1x1 conv that ends a C3 block: the latter's
// input is a Concat, a base conv's is an activation.
func (r *reading) isBase(name string) bool {
	conv := r.layer(name)
	if conv == nil || r.kernel(conv) != 1 {
		return false
	}
	return !r.index.Producer(r.back(conv.Input(0))).Is("Concat")
}
