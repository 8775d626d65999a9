"""Every config and variant by name, found the way a user finds them."""

from __future__ import annotations

from typing import Any

from tfgan_lab.config import Config, override, validate
from tfgan_lab.config_files import config_names, load_config
from tfgan_lab.errors import UserError


def variants_of(name: str) -> list[str]:
    """The variants that a config offers, from its refusal of one it has not."""
    try:
        load_config(f"{name}:no_such_variant")
    except UserError as error:
        message = str(error)
    else:
        raise AssertionError(f"{name} takes any variant")
    assert "unknown variant 'no_such_variant': " in message, message
    return message.rpartition(": ")[2].split(", ")


REFERENCES = [reference for name in config_names() for reference in (name, *(f"{name}:{v}" for v in variants_of(name)))]


def offline(reference: str, **changes: str) -> Config:
    """A config on data that the package brings, with dotted fields changed (`game__d_steps="2"`)."""
    config: Any = validate(load_config(reference))
    embedded = {"data.source": "embedded"}
    sources = {"mnist": embedded, "stacked": embedded, "montage": {"data.source": "faces"}}
    return override(
        config, sources.get(config.data.kind, {}) | {key.replace("__", "."): value for key, value in changes.items()}
    )
