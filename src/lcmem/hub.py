"""The Hugging Face hub, which is asked for nothing unless the user wants it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lcmem.checkpoints import CONFIG, WEIGHTS
from lcmem.errors import CheckpointError


@contextmanager
def hub_access(allowed: bool) -> Iterator[None]:
    """Keep the hub's client from the network in a block: ``local_files_only`` alone lets it fetch lists of its own.

    Args:
        allowed: Whether it may be used after all (if ``HF_HUB_OFFLINE`` does not forbid it).
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not allowed
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def hub_file(repo: str, name: str, allow_download: bool) -> Path:
    """Where the hub's cache holds a file of a repository ``owner/name``; the hub's own errors say what is missing."""
    from huggingface_hub import hf_hub_download

    with hub_access(allow_download):
        return Path(hf_hub_download(repo, name, local_files_only=not allow_download))


def hub_folder(repo: str, revision: str | None, allow_download: bool) -> Path:
    """Where the hub's cache holds a checkpoint.

    Args:
        repo: ``owner/name``.
        revision: A branch, a tag or a commit; None for the main branch.
        allow_download: Whether to fetch what the cache lacks.

    Raises:
        CheckpointError: It is not there.
    """
    from huggingface_hub import snapshot_download

    files, offline = [CONFIG, WEIGHTS], not allow_download
    try:
        with hub_access(allow_download):
            return Path(snapshot_download(repo, revision=revision, allow_patterns=files, local_files_only=offline))
    except Exception as error:  # OSError, ValueError or a hub error, by what is missing
        hint = "" if allow_download else "; to download it, say allow_download=True"
        raise CheckpointError(f"{repo}: neither a folder nor a model in the hub's cache ({error}){hint}") from error
