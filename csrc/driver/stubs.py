"""Writes a function of the same name for each one that cuda.h and nvml.h declare, which calls the driver's own.

usage: stubs.py COMPILER CUDA_INCLUDE NVML_INCLUDE OUTPUT

The output is C, a line each: CUDA_STUB or NVML_STUB(name, (parameters),
(arguments)); loader.h says what becomes of it. The types are the headers' own, so that the
compiler passes on whatever there is - numbers, floats, structs - on any machine.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

# cuda.h declares the former versions of its functions only with the first, go-nvml is compiled with the second.
DEFINES = ("-D__CUDA_API_VERSION_INTERNAL", "-DNVML_NO_UNVERSIONED_FUNC_DEFS=1")
DECLARATION = re.compile(r"\b(CUresult|nvmlReturn_t|const char\s*\*)\s*((?:cu|nvml)[A-Z]\w*)\s*\(([^()]*)\)\s*;")
STUBS = {"CUresult": "CUDA_STUB", "nvmlReturn_t": "NVML_STUB"}
PARAMETER = re.compile(r".*?(\w+)\s*(?:\[\w*\])*", re.DOTALL)
OWN = {"cuInit", "nvmlErrorString"}  # loader.c has them


def declarations(text: str) -> dict[str, tuple[str, str]]:
    """Returns result and parameters of every function declared in preprocessed text, by name."""
    return {name: (result, " ".join(parameters.split())) for result, name, parameters in DECLARATION.findall(text)}


def arguments(parameters: str) -> str:
    """Returns the names in a list of parameters."""
    if parameters == "void":
        return ""
    return ", ".join(PARAMETER.fullmatch(one.strip())[1] for one in parameters.split(","))


def stubs(text: str) -> str:
    """Returns the lines for everything that preprocessed text declares."""
    lines = (
        f"{STUBS[result]}({name}, ({parameters}), ({arguments(parameters)}))"
        for name, (result, parameters) in sorted(declarations(text).items())
        if name not in OWN
    )
    return '#include "loader.h"\n\n' + "\n".join(lines) + "\n"


def main() -> None:
    compiler, cuda, nvml, output = sys.argv[1:]
    source = "#include <cuda.h>\n#include <nvml.h>\n"
    command = [compiler, "-E", "-P", *DEFINES, f"-I{cuda}", f"-I{nvml}", "-xc", "-"]
    text = subprocess.run(command, input=source, stdout=subprocess.PIPE, check=True, text=True).stdout
    Path(output).write_text(stubs(text), encoding="ascii")


if __name__ == "__main__":
    main()
