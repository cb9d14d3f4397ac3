"""Typed settings: unknown keys are errors with a way out, and there is one way to change them."""

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lcmem.errors import LCMemError
from lcmem.files import write_text

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Settings(BaseModel):
    """Typed, immutable settings; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def with_settings(self, settings: list[str]) -> Self:
        """A copy with ``key=value`` changes; a key may reach inside (``stage1.lr=1e-3``), see :func:`merged`.

        Raises:
            LCMemError: An unknown key, or a value that does not fit.
        """
        values = self.model_dump()
        for setting in settings:
            values = merged(values, _nested(setting))
        return self.validated(values, "--set")

    @classmethod
    def validated(cls, values: dict[str, Any], source: str) -> Self:
        """From plain values.

        Raises:
            LCMemError: Names ``source`` and every key that is unknown or has an unfit value.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise LCMemError("; ".join(f"{source}: {_explain(cls, item)}" for item in error.errors())) from error

    def to_dict(self) -> dict[str, Any]:
        """As JSON- and TOML-ready values, without those that are not set."""
        return self.model_dump(mode="json", exclude_none=True)

    def write(self, path: Path) -> None:
        """Save as TOML."""
        write_text(tomli_w.dumps(self.to_dict()), path)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Values with changes; a table changes only the keys that it names, ``"none"`` takes a key back to its default."""
    result = dict(base)
    for key, value in changes.items():
        inner = result.get(key)
        if isinstance(value, str) and value.lower() == "none":
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(inner if isinstance(inner, dict) else {}, value)
        else:
            result[key] = value
    return result


def _nested(setting: str) -> dict[str, Any]:
    """``a.b=1`` as ``{"a": {"b": 1}}``."""
    key, found, text = setting.partition("=")
    if not found:
        raise LCMemError(f"setting {setting!r}: expected key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word: a name or a path
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _explain(cls: type[BaseModel], item: Any) -> str:
    key = ".".join(map(str, item["loc"]))
    if item["type"] not in ("extra_forbidden", "unexpected_keyword_argument"):
        return (f"{key}: " if key else "") + item["msg"].removeprefix("Value error, ")
    known = _keys(cls.model_json_schema())
    close = get_close_matches(key, known, 3)
    beside = [name for name in known if name.count(".") == key.count(".")]
    return f"unknown key {key}; " + (f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(beside)}")


def _keys(schema: dict[str, Any], prefix: str = "", definitions: dict[str, Any] | None = None) -> list[str]:
    """Every key of a JSON schema, with dots."""
    definitions = schema.get("$defs", {}) if definitions is None else definitions
    found = []
    for name, item in schema.get("properties", {}).items():
        found.append(prefix + name)
        named = item.get("additionalProperties")
        inside = f"{name}.NAME" if isinstance(named, dict) else name
        for option in (item, named, *item.get("anyOf", [])):
            if isinstance(option, dict) and "$ref" in option:
                inner = definitions[option["$ref"].rpartition("/")[2]]
                found += _keys(inner, f"{prefix}{inside}.", definitions)
    return found
