"""The Hugging Face hub, which is asked for nothing unless the user wants it."""

from collections.abc import Iterator
from contextlib import contextmanager


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
