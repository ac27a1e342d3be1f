package onnx

import "google.golang.org/protobuf/encoding/protowire"

// Function is a model-local function: an operator that the file itself says
// how to compute. Normalize puts its nodes where it is called.
type Function struct {
	Domain, Name string
	Overload     string // tells functions of the same domain and name apart
	Inputs       []string
	Outputs      []string
	Attributes   []string     // names of attributes without a default
	Defaults     []*Attribute // attributes with one
	Nodes        []*Node
	Opsets       []Opset
	DocString    string
	unknown      []byte
}

func (r *reader) function(b []byte) (*Function, error) {
	fn := &Function{}
	if err := r.take(1); err != nil {
		return nil, err
	}
	err := eachField("a local function", b, func(f field) error {
		if !f.isBytes() {
			fn.unknown = append(fn.unknown, f.raw...)
			return nil
		}
		switch f.num {
		case 1:
			fn.Name = string(f.bytes)
		case 4:
			fn.Inputs = append(fn.Inputs, string(f.bytes))
			return r.take(1)
		case 5:
			fn.Outputs = append(fn.Outputs, string(f.bytes))
			return r.take(1)
		case 6:
			fn.Attributes = append(fn.Attributes, string(f.bytes))
			return r.take(1)
		case 7:
			n, err := r.node(f.bytes, 0)
			fn.Nodes = append(fn.Nodes, n)
			return err
		case 8:
			fn.DocString = string(f.bytes)
		case 9:
			o, err := r.opset(f.bytes)
			fn.Opsets = append(fn.Opsets, o)
			return err
		case 10:
			fn.Domain = string(f.bytes)
		case 11:
			a, err := r.attribute(f.bytes, 0)
			fn.Defaults = append(fn.Defaults, a)
			return err
		case 13:
			fn.Overload = string(f.bytes)
		default:
			fn.unknown = append(fn.unknown, f.raw...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return fn, nil
}

func (fn *Function) write() *writer {
	w := &writer{}
	w.text(1, fn.Name)
	writeNames(w, 4, fn.Inputs)
	writeNames(w, 5, fn.Outputs)
	writeNames(w, 6, fn.Attributes)
	for _, n := range fn.Nodes {
		w.message(7, n.write())
	}
	w.text(8, fn.DocString)
	writeOpsets(w, 9, fn.Opsets)
	w.text(10, fn.Domain)
	for _, a := range fn.Defaults {
		w.message(11, a.write())
	}
	w.text(13, fn.Overload)
	w.raw(fn.unknown)
	return w
}

// writeNames writes every name, empty ones too.
func writeNames(w *writer, num protowire.Number, names []string) {
	for _, s := range names {
		w.blob(num, []byte(s))
	}
}
