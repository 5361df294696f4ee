"""Infos files: what is read, what is refused, and that nothing in them ever runs."""

import argparse
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aoanet import OPTIONS, folder, words, write_files
from regard.errors import CheckpointError, ModelNotFound, UnsafeCheckpoint
from regard.models.aoanet.infos import read_infos
from regard.models.aoanet.loading import load_captioner


def content(**changes: Any) -> dict[str, Any]:
    opt = argparse.Namespace(**{**OPTIONS, **changes})
    return {
        "opt": opt,
        "vocab": {str(token): word for token, word in words().items()},
        "best_val_score": np.float64(1.25),
        "raw": b"\x00\xff",
        "iterators": {"train": 5},
    }


@pytest.fixture
def infos(tmp_path: Path) -> Callable[..., Path]:
    def write(value: Any, protocol: int = 2) -> Path:
        path = tmp_path / "infos_x.pkl"
        path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol))
        return path

    return write


@pytest.mark.parametrize("protocol", range(2, 6))
def test_plain_files_are_read(infos: Callable[..., Path], protocol: int) -> None:
    read = read_infos(infos(content(), protocol))
    assert read.options.num_heads == 4
    assert read.text((3, 5)) == "man on"


def test_the_official_file_is_read(shared: Path) -> None:
    read = read_infos(folder(shared) / "infos_aoanet.pkl")
    assert read.options.max_length == 12
    assert read.vocabulary[60] == "UNK"


def global_(module: str, name: str, *arguments: str) -> bytes:
    """A pickle that calls a function with text arguments, by opcodes."""
    pushed = b"".join(b"X" + len(a).to_bytes(4, "little") + a.encode() for a in arguments)
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + pushed + b"tR."


def gadgets(canary: str) -> dict[str, bytes]:
    """Twenty pickles that would make a file if anything in them ran."""
    shell = f"touch {canary}"
    python = f"open({canary!r},'w')"
    return {
        "os.system": global_("os", "system", shell),
        "posix.system": global_("posix", "system", shell),
        "nt.system": global_("nt", "system", shell),
        "subprocess.call": global_("subprocess", "getoutput", shell),
        "subprocess.check_output": global_("subprocess", "getstatusoutput", shell),
        "builtins.eval": global_("builtins", "eval", python),
        "builtins.exec": global_("builtins", "exec", python),
        "python2.eval": global_("__builtin__", "eval", python),
        "builtins.open": global_("builtins", "open", canary, "w"),
        "io.open": global_("io", "open", canary, "w"),
        "codecs.open": global_("codecs", "open", canary, "w"),
        "pathlib": b"\x80\x02cpathlib\nPath.touch\n(cpathlib\nPath\n(X"
        + len(canary).to_bytes(4, "little")
        + canary.encode()
        + b"tRtR.",
        "os.popen": global_("os", "popen", shell),
        "pty.spawn": global_("pty", "spawn", shell),
        "timeit": global_("timeit", "timeit", python),
        "cProfile": global_("cProfile", "run", python),
        "numpy.testing": global_("numpy.testing._private.utils", "runstring", python),
        "torch.load": global_("torch", "load", canary),
        "builtins.getattr": global_("builtins", "getattr", "os", "system"),
        "stack_global": b"\x80\x04\x8c\x02os\x8c\x06system\x93(X"
        + len(shell).to_bytes(4, "little")
        + shell.encode()
        + b"tR.",
    }


@pytest.mark.parametrize("name", sorted(gadgets("x")))
def test_no_gadget_runs(name: str, tmp_path: Path, infos: Callable[..., Path]) -> None:
    canary = tmp_path / "canary"
    hostile = gadgets(str(canary))[name]
    path = infos(hostile)
    with pytest.raises(UnsafeCheckpoint, match="could run code"):
        read_infos(path)
    model, honest = write_files(tmp_path)
    model.write_bytes(hostile)
    with pytest.raises(CheckpointError):  # torch names some of them, and cannot parse others
        load_captioner(model, honest)
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("archive/data.pkl", hostile)
        archive.writestr("archive/version", "3")
    with pytest.raises(CheckpointError):
        load_captioner(model, honest)
    assert not canary.exists()


def test_there_are_twenty_gadgets() -> None:
    assert len(gadgets("x")) == 20


def test_the_canary_sings_where_pickles_are_obeyed(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    pickle.loads(gadgets(str(canary))["os.system"])
    assert canary.exists()


def test_a_state_cannot_reach_classes(infos: Callable[..., Path]) -> None:
    """A stand-in may be given any attributes; they stay plain data."""
    hostile = content()
    hostile["opt"].__dict__["__class__"] = "x"
    assert read_infos(infos(hostile)).options == read_infos(infos(content())).options


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"", "damaged"),
        (b"no pickle at all", "damaged"),
        ({"vocab": {}}, "no opt and vocab"),
        ([1, 2], "no opt and vocab"),
        (content(caption_model="transformer"), "'transformer'; expected 'aoa'"),
        (content(num_heads=3), "does not divide"),
        (content(decoder_type="GRU"), "'GRU', expected one of"),
        (content(rnn_size="many"), "'many', expected a whole number"),
        (content(vocab_size=13), "vocabulary has 12 words, and option vocab_size is 13"),
    ],
)
def test_bad_files_are_one_clear_error(infos: Callable[..., Path], value: Any, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        read_infos(infos(value))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="expected the infos_ID"):
        read_infos(tmp_path / "infos.pkl")


def test_truncation_anywhere_is_an_error(infos: Callable[..., Path]) -> None:
    whole = pickle.dumps(content(), 2)
    for length in range(0, len(whole), 37):
        with pytest.raises(CheckpointError):
            read_infos(infos(whole[:length]))


def test_files_of_two_models_are_refused(tmp_path: Path) -> None:
    model, _ = write_files(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    _, infos = write_files(other, rnn_size=32)
    with pytest.raises(CheckpointError, match=r"is not the model that .* shape"):
        load_captioner(model, infos)
    _, infos = write_files(other, use_ff=1)
    with pytest.raises(CheckpointError, match="is missing"):
        load_captioner(model, infos)


def test_a_lie_about_sizes_takes_no_memory(tmp_path: Path) -> None:
    model, infos = write_files(tmp_path)
    lie = content(rnn_size=2**20, num_heads=4)
    infos.write_bytes(pickle.dumps(lie, 2))
    with pytest.raises(CheckpointError, match="is not the model"):
        load_captioner(model, infos)
