"""Encoding and scanning on a Ray cluster."""

from lcmem.errors import extra


def check_ray() -> None:
    """Whether Ray Data can be used.

    Raises:
        LCMemError: It is not installed.
    """
    with extra("ray", "this needs Ray"):
        import ray.data  # noqa: F401
