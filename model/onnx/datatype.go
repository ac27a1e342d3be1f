package onnx

import "fmt"

// DataType is TensorProto.DataType.
type DataType int32

// The data types.
const (
	Float32      DataType = 1
	Uint8        DataType = 2
	Int8         DataType = 3
	Uint16       DataType = 4
	Int16        DataType = 5
	Int32        DataType = 6
	Int64        DataType = 7
	String       DataType = 8
	Bool         DataType = 9
	Float16      DataType = 10
	Float64      DataType = 11
	Uint32       DataType = 12
	Uint64       DataType = 13
	Complex64    DataType = 14
	Complex128   DataType = 15
	BFloat16     DataType = 16
	Float8E4M3   DataType = 17
	Float8E4M3UZ DataType = 18
	Float8E5M2   DataType = 19
	Float8E5M2UZ DataType = 20
	Uint4        DataType = 21
	Int4         DataType = 22
	Float4E2M1   DataType = 23
)

var dataTypes = map[DataType]struct {
	name string
	bits int
}{
	Float32: {"float32", 32}, Uint8: {"uint8", 8}, Int8: {"int8", 8}, Uint16: {"uint16", 16}, Int16: {"int16", 16},
	Int32: {"int32", 32}, Int64: {"int64", 64}, String: {"string", 0}, Bool: {"bool", 8}, Float16: {"float16", 16},
	Float64: {"float64", 64}, Uint32: {"uint32", 32}, Uint64: {"uint64", 64}, Complex64: {"complex64", 64},
	Complex128: {"complex128", 128}, BFloat16: {"bfloat16", 16}, Float8E4M3: {"float8e4m3fn", 8},
	Float8E4M3UZ: {"float8e4m3fnuz", 8}, Float8E5M2: {"float8e5m2", 8}, Float8E5M2UZ: {"float8e5m2fnuz", 8},
	Uint4: {"uint4", 4}, Int4: {"int4", 4}, Float4E2M1: {"float4e2m1", 4},
}

// String returns numpy's name of the type.
func (t DataType) String() string {
	if d, ok := dataTypes[t]; ok {
		return d.name
	}
	return fmt.Sprintf("type %d", int32(t))
}

// Bits returns the size of one element, 0 for strings and unknown types.
func (t DataType) Bits() int { return dataTypes[t].bits }

// IsFloat reports whether the type is one of the floating-point ones.
func (t DataType) IsFloat() bool {
	switch t {
	case Float32, Float16, Float64, BFloat16, Float8E4M3, Float8E4M3UZ, Float8E5M2, Float8E5M2UZ, Float4E2M1:
		return true
	}
	return false
}

// IsFloat8 reports whether the type is one of the 8-bit floats.
func (t DataType) IsFloat8() bool { return t >= Float8E4M3 && t <= Float8E5M2UZ }
