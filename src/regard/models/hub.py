"""Checkpoints of the Hugging Face hub, by ``organisation/name``."""

import re
from pathlib import Path

from regard.errors import CheckpointError, ModelNotFound, UnsafeCheckpoint

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""What a hub id looks like."""

_CONNECT_SECONDS = 10.0
_CONFIG, _PREPROCESSING = "config.json", "preprocessor_config.json"
_WEIGHTS, _SHARDS = "model.safetensors", "model.safetensors.index.json"


def hub_folder(hub_id: str) -> Path:
    """Local folder of a hub checkpoint, downloaded where it is not there yet.

    Configuration and safetensors only: whatever else the repository holds, pickles and code
    among it, is not even downloaded. Honours ``HF_HOME``, ``HF_ENDPOINT``, ``HF_TOKEN`` and
    ``HF_HUB_OFFLINE``. A hub that stays silent is given up after some 10 seconds.

    Args:
        hub_id: ``organisation/name``.

    Raises:
        ModelNotFound: The hub does not know the id, or cannot be reached.
        UnsafeCheckpoint: It has no safetensors of it.
    """
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    silence = None
    try:
        silence = _silence(hub_id)
        return _download(hub_id, offline=silence is not None)
    except CheckpointError:
        raise
    except GatedRepoError as error:
        raise ModelNotFound(
            f"{hub_id} is gated: accept its licence on its hub page, "
            "and log in with `hf auth login`"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFound(
            f"the hub knows no {hub_id!r} (or it is private: `hf auth login`); check the spelling"
        ) from error
    except Exception as error:  # the one border to the hub, whose transport raises its own kinds
        raise ModelNotFound(
            f"{hub_id} is no folder here, not in the hub's cache, and the hub does not give it "
            f"({_reason(silence or error)}); connect, unset HF_HUB_OFFLINE, or pass a local "
            f"folder with {_CONFIG} and {_WEIGHTS}"
        ) from error


def _silence(hub_id: str) -> Exception | None:
    """Why the hub does not answer; ``None`` where it does.

    Asked once, with a limit of its own: a download would ask a silent hub for many minutes.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import (
        HFValidationError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        get_hf_file_metadata(hf_hub_url(hub_id, _CONFIG), timeout=_CONNECT_SECONDS)
    except (HFValidationError, RemoteEntryNotFoundError, RepositoryNotFoundError):
        raise  # an answer, though not the wanted one
    except Exception as error:  # no answer, in the words of whichever transport is installed
        return error
    return None


def _download(hub_id: str, *, offline: bool) -> Path:
    from regard.models.checkpoint import shard_names

    folder = _file(hub_id, _CONFIG, offline=offline).parent
    commit = folder.name  # of the snapshot: the files that follow are of the same one
    _optional_file(hub_id, _PREPROCESSING, commit, offline=offline)
    if _optional_file(hub_id, _WEIGHTS, commit, offline=offline):
        return folder
    index = _optional_file(hub_id, _SHARDS, commit, offline=offline)
    if index is None:
        raise UnsafeCheckpoint(
            f"{hub_id} has no {_WEIGHTS} on the hub, and nothing else is read from there; "
            "convert its weights to safetensors"
        )
    for shard in shard_names(index):
        _file(hub_id, shard, commit, offline=offline)
    return folder


def _file(hub_id: str, name: str, commit: str | None = None, *, offline: bool) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(hub_id, name, revision=commit, local_files_only=offline))


def _optional_file(hub_id: str, name: str, commit: str, *, offline: bool) -> Path | None:
    """The file, or ``None`` where the hub is known not to have it."""
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

    try:
        return _file(hub_id, name, commit, offline=offline)
    except RemoteEntryNotFoundError:
        return None
    except LocalEntryNotFoundError:  # no network: an earlier answer of the hub counts
        if try_to_load_from_cache(hub_id, name, revision=commit) is _CACHED_NO_EXIST:
            return None
        raise


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def is_in_hub_cache(hub_id: str) -> bool:
    """Whether the hub's cache on this machine holds the checkpoint (one in a single file)."""
    from huggingface_hub import try_to_load_from_cache

    wanted = (_CONFIG, _WEIGHTS)
    return all(isinstance(try_to_load_from_cache(hub_id, name), str) for name in wanted)
