"""The one store: arrays of pictures by their content, made once, resumed after a kill, read where they lie."""

from lcmem.store.card import Card, is_store
from lcmem.store.fill import Encoded, Filled, fill
from lcmem.store.rows import StoredRows
from lcmem.store.store import Store

__all__ = ["Card", "Encoded", "Filled", "Store", "StoredRows", "fill", "is_store"]
