"""Every system on a device that is not the CPU: each tensor is made and moved where it belongs.

The device is pretended (`pretend.cpp`), so this runs on any machine with a C++ compiler. What that
cannot tell is how a real graphics card rounds: where there is one, the same cases run on it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
NEEDS_SHARED = {"video"}
NAMES = re.findall(r"^@case\ndef (\w+)", (HERE / "cases.py").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler was found, which the pretended device needs")
    built = tmp_path_factory.mktemp("device") / "pretend.so"
    flags = ["-std=c++20", "-O0", "-fPIC", "-shared", "-w"]
    flags += [f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"]
    torch_folder = Path(torch.__file__).parent  # cpp_extension knows it, and loads setuptools
    include, libraries = torch_folder / "include", torch_folder / "lib"
    flags += [f"-I{include}", f"-I{include / 'torch/csrc/api/include'}"]
    links = [f"-L{libraries}", f"-Wl,-rpath,{libraries}"]
    command = [compiler, *flags, str(HERE / "pretend.cpp"), "-o", str(built), *links]
    subprocess.run([*command, "-ltorch", "-ltorch_cpu", "-lc10"], check=True)
    return built


@pytest.fixture(scope="module")
def outcomes(library: Path) -> dict[str, str]:
    return outcomes_on(str(library))


@pytest.fixture(scope="module")
def outcomes_on_a_card() -> dict[str, str]:
    return outcomes_on("cuda")


def outcomes_on(device: str) -> dict[str, str]:
    """What is wrong with each case; those that need the shared folder run where it is."""
    shared = Path(os.environ.get("REGARD_SHARED", HERE.parents[2] / "shared"))
    names = [name for name in NAMES if name not in NEEDS_SHARED or (shared / "parity").is_dir()]
    done = subprocess.run(
        [sys.executable, str(HERE / "cases.py"), device, *names],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "REGARD_SHARED": str(shared)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def no_difference(outcomes: dict[str, str], name: str) -> None:
    if name not in outcomes:
        pytest.skip("the shared folder is not there, with weights of a small DVIS-DAQ")
    assert outcomes[name] == ""


@pytest.mark.parametrize("name", NAMES)
def test_the_same_as_on_the_cpu(outcomes: dict[str, str], name: str) -> None:
    no_difference(outcomes, name)


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_the_same_on_a_card(outcomes_on_a_card: dict[str, str], name: str) -> None:
    no_difference(outcomes_on_a_card, name)


def test_the_device_refuses_to_mix(outcomes: dict[str, str]) -> None:
    """Without this, the cases could not fail."""
    assert "Expected all tensors to be on the same device" in outcomes["refusal"]
