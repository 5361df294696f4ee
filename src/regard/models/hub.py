"""Checkpoints of the Hugging Face hub, by ``organisation/name``."""

import re
from pathlib import Path

from regard.errors import ModelNotFound

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""What a hub id looks like."""

# no pickles, no code: whatever else the repository holds is not even downloaded
_WANTED = [
    "config.json",
    "preprocessor_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*.safetensors",
]
_CONNECT_SECONDS = 10.0


def hub_folder(hub_id: str) -> Path:
    """Local folder of a hub checkpoint, downloaded where it is not there yet.

    Honours ``HF_HOME``, ``HF_ENDPOINT``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE``.

    Args:
        hub_id: ``organisation/name``.

    Raises:
        ModelNotFound: The hub does not know the id, or cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        return Path(
            snapshot_download(
                hub_id,
                allow_patterns=_WANTED,
                etag_timeout=_CONNECT_SECONDS,
            )
        )
    except GatedRepoError as error:
        raise ModelNotFound(
            f"{hub_id} is gated: accept its licence on its hub page, "
            "and log in with `hf auth login`"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFound(
            f"the hub knows no {hub_id!r} (or it is private: `hf auth login`); check the spelling"
        ) from error
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelNotFound(
            f"{hub_id} is no folder here, not in the hub's cache, and the hub does not answer "
            f"({reason}); connect, "
            "unset HF_HUB_OFFLINE, or pass a local folder with config.json and model.safetensors"
        ) from error


def is_in_hub_cache(hub_id: str) -> bool:
    """Whether the hub's cache on this machine holds the checkpoint (one in a single file)."""
    from huggingface_hub import try_to_load_from_cache

    wanted = ("config.json", "model.safetensors")
    return all(isinstance(try_to_load_from_cache(hub_id, name), str) for name in wanted)
