"""Writes a class for each interface of TensorRT's that the simulated ones implement, every function of which fails.

usage: stubs.py COMPILER OUTPUT INCLUDE...

TensorRT's public classes are thin: behind each stands an abstract class of NvInferImpl.h, or it is abstract itself, as
the parser's are. For IBuilder, behind which stands VBuilder, the output has VBuilderStub, which overrides all of it: a
call ends the process and says "IBuilder::reset is not simulated". What a simulated TensorRT can do is derived from it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SOURCE = "#include <NvInfer.h>\n#include <NvOnnxParser.h>\n"
IMPLEMENTED = (
    "VBuilder VBuilderConfig VCudaEngine VExecutionContext VHostMemory VLayer VNetworkDefinition VOptimizationProfile"
    " VRuntime VRuntimeCache VRuntimeConfig VTensor VTimingCache"
).split()
PARSER = ["IParser", "IParserError"]
FUNCTION = re.compile(
    r"virtual\s+(?P<result>[\w:<>&*\s]+?)\s*\b(?P<name>\w+)\s*\((?P<parameters>[^()]*)\)"
    r"\s*(?P<rest>(?:const)?\s*(?:noexcept)?)\s*=\s*0\s*;"
)


def body(text: str, name: str) -> str | None:
    """Returns what stands in a class of preprocessed text, None where there is no such class."""
    found = re.search(rf"\bclass {name}\b[^;{{]*\{{(.*?)^\}};", text, re.DOTALL | re.MULTILINE)
    return found[1] if found else None


def stub(text: str, name: str) -> str:
    """Returns the class for one interface, "" where these headers have no such interface."""
    inside = body(text, name)
    if inside is None:
        return ""
    abstract = inside.count("= 0;") - len(re.findall(r"virtual ~\w+\(\)[^;]*= 0;", inside))
    functions = list(FUNCTION.finditer(inside))
    if len(functions) != abstract:
        raise SystemExit(f"stubs.py: read {len(functions)} of the {abstract} functions of {name}")
    public = re.sub("^V", "I", name)
    lines = [f"class {name}Stub : public {name} {{", " public:"]
    for f in functions:
        parameters = re.sub(r"\s*=\s*nullptr", "", " ".join(f["parameters"].split()))
        lines.append(
            f"  {' '.join(f['result'].split())} {f['name']}({parameters}) {f['rest']} override"
            f' {{ ::simgpu::NotSimulated("{public}::{f["name"]}"); }}'
        )
    return "\n".join([*lines, "};\n"])


def main() -> None:
    compiler, output, *include = sys.argv[1:]
    command = [compiler, "-E", "-P", *(f"-I{folder}" for folder in include), "-xc++", "-"]
    text = subprocess.run(command, input=SOURCE, stdout=subprocess.PIPE, check=True, text=True).stdout
    parts = [
        SOURCE,
        "namespace simgpu {",
        "[[noreturn]] void NotSimulated(const char* call);",
        "}",
        "namespace nvinfer1::apiv {",
        *(stub(text, name) for name in IMPLEMENTED),
        "}",
        "namespace nvonnxparser {",
        *(stub(text, name) for name in PARSER),
        "}\n",
    ]
    Path(output).write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
