from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

from regard.errors import ModelNotFound
from regard.models.hub import HUB_ID, hub_folder, is_in_hub_cache


def answer_with(error: Exception) -> Callable[..., str]:
    def snapshot_download(*_: Any, **__: Any) -> str:
        raise error

    return snapshot_download


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            LocalEntryNotFoundError("no name service\nlong advice"),
            r"not answer \(no name service\)",
        ),
        (OfflineModeIsEnabled("offline mode"), "unset HF_HUB_OFFLINE"),
        (TimeoutError("timed out"), "pass a local folder"),
        (HFValidationError("bad id"), "check the spelling"),
    ],
)
def test_a_hub_that_does_not_give_the_model(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", answer_with(error))
    with pytest.raises(ModelNotFound, match=said):
        hub_folder("some/model")


def test_only_safetensors_and_configuration_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def snapshot_download(hub_id: str, **options: Any) -> str:
        asked.update(options, hub_id=hub_id)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)

    assert hub_folder("some/model") == tmp_path
    assert asked["hub_id"] == "some/model"
    assert all(Path(name).suffix in (".json", ".safetensors") for name in asked["allow_patterns"])
    assert asked["etag_timeout"] <= 15


@pytest.mark.parametrize("name", ["facebook/dinov2-small", "a/b", "a.b/c_d-1"])
def test_hub_ids(name: str) -> None:
    assert HUB_ID.fullmatch(name)


@pytest.mark.parametrize("name", ["dinov2", "./a/b", "../b", "a/b/c", "/a/b", "a/", "~/b", "a/.."])
def test_what_is_no_hub_id(name: str) -> None:
    assert not HUB_ID.fullmatch(name)


def test_a_model_that_is_in_no_cache() -> None:
    assert not is_in_hub_cache("nobody/has-this-model")
