import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled

from regard.errors import CheckpointError, ModelNotFound, UnsafeCheckpoint
from regard.models import hub
from regard.models.hub import HUB_ID, hub_folder, is_in_hub_cache

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = {"config.json": b"{}", "preprocessor_config.json": b"[]", "model.safetensors": b"weights"}


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does, for one repository."""

    error_code = "EntryNotFound"
    status = 404
    files: ClassVar[dict[str, bytes]]
    asked: ClassVar[list[str]]

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        name = self.path.rpartition("/")[2]
        content = self.files.get(name)
        self.asked.append(name)
        self.send_response(self.status if content is None else 200)
        if content is None:
            self.send_header("X-Error-Code", self.error_code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{name}-{len(content or b"")}"')
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if body and content is not None:
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub on this machine, and an empty cache."""

    class Here(Hub):
        files: ClassVar[dict[str, bytes]] = {}
        asked: ClassVar[list[str]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Here) as server:
        use_hub(monkeypatch, tmp_path, server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Here
        server.shutdown()
        thread.join()


def use_hub(monkeypatch: pytest.MonkeyPatch, cache: Path, port: int) -> None:
    endpoint = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionError("no name service\nadvice"), r"does not give it \(no name service\)"),
        (OfflineModeIsEnabled("offline mode"), r"\(offline mode\).*unset HF_HUB_OFFLINE"),
        (TimeoutError(), r"\(TimeoutError\).*pass a local folder"),
        (HFValidationError("bad id"), "check the spelling"),
    ],
)
def test_a_hub_that_does_not_give_the_model(
    error: Exception, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_hf_file_metadata(*_: Any, **__: Any) -> None:
        raise error

    use_hub(monkeypatch, tmp_path, port=9)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", get_hf_file_metadata)
    with pytest.raises(ModelNotFound, match=said):
        hub_folder("some/model")


def test_a_hub_in_trouble_does_not_hide_what_is_here(served: type[Hub]) -> None:
    served.files = MODEL
    folder = hub_folder("some/model")
    served.files, served.error_code, served.status = {}, "", 503
    assert hub_folder("some/model") == folder
    with pytest.raises(ModelNotFound, match=r"does not give it \(.*503"):
        hub_folder("another/model")


def test_an_unknown_model(served: type[Hub]) -> None:
    served.error_code = "RepoNotFound"
    with pytest.raises(ModelNotFound, match="the hub knows no 'some/model'"):
        hub_folder("some/model")


def test_a_hub_that_stays_silent_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use_hub(monkeypatch, tmp_path, silent.getsockname()[1])
        with pytest.raises(ModelNotFound, match="the hub does not give it"):
            hub_folder("some/model")


def test_configuration_and_safetensors_are_all_that_is_asked_for(served: type[Hub]) -> None:
    served.files = MODEL | {"evil.py": b"", "pytorch_model.bin": b""}
    folder = hub_folder("some/model")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == MODEL
    assert set(served.asked) == MODEL.keys()
    assert is_in_hub_cache("some/model")


def test_without_a_network_the_cache_is_enough(
    served: type[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    served.files = {name: MODEL[name] for name in ("config.json", "model.safetensors")}
    folder = hub_folder("some/model")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub_folder("some/model") == folder


def test_a_cache_without_its_preprocessing_is_not_enough(
    served: type[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    served.files = MODEL
    folder = hub_folder("some/model")
    (folder / "preprocessor_config.json").unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFound, match="some/model"):
        hub_folder("some/model")


def test_shards(served: type[Hub]) -> None:
    index = json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}).encode()
    served.files = {
        "config.json": b"{}",
        "model.safetensors.index.json": index,
        "one.safetensors": b"1",
        "two.safetensors": b"2",
    }
    folder = hub_folder("some/model")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == served.files


def test_a_damaged_index_is_an_error_of_the_checkpoint(served: type[Hub]) -> None:
    served.files = {"config.json": b"{}", "model.safetensors.index.json": b"{"}
    with pytest.raises(CheckpointError, match=r"index\.json cannot be read"):
        hub_folder("some/model")


def test_pickles_of_the_hub_are_refused(served: type[Hub]) -> None:
    served.files = {"config.json": b"{}", "pytorch_model.bin": b"pickled"}
    with pytest.raises(UnsafeCheckpoint, match=r"some/model has no model\.safetensors"):
        hub_folder("some/model")
    assert "pytorch_model.bin" not in served.asked


@pytest.mark.parametrize("name", ["facebook/dinov2-small", "a/b", "a.b/c_d-1"])
def test_hub_ids(name: str) -> None:
    assert HUB_ID.fullmatch(name)


@pytest.mark.parametrize("name", ["dinov2", "./a/b", "../b", "a/b/c", "/a/b", "a/", "~/b", "a/.."])
def test_what_is_no_hub_id(name: str) -> None:
    assert not HUB_ID.fullmatch(name)


def test_a_model_that_is_in_no_cache() -> None:
    assert not is_in_hub_cache("nobody/has-this-model")
