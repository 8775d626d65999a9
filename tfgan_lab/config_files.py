"""Finds and reads config files: by name from the package's `configs/`, or by path."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import inspect
import os
import re
import types
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from tfgan_lab.config import ClassifierConfig, GanConfig, explain, validate
from tfgan_lab.errors import UserError, nearest, shortened
from tfgan_lab.system.files import shipped


def configs_folder() -> Path:
    """The folder of the package's own configs."""
    return shipped("configs")


def config_names() -> list[str]:
    """Names that `--config` takes."""
    return sorted(path.stem for path in configs_folder().glob("*.py") if not path.stem.startswith("_"))


@dataclasses.dataclass(frozen=True)
class Summary:
    """A config in one line."""

    name: str  # as `--config` takes it
    line: str  # what it is
    post: str  # the post it rebuilds, such as "P000"; "-" if it is ours
    time: str  # how long it trains


def summaries() -> list[Summary]:
    """Every config by its docstring ("Source:" and "Time:" lines); nothing is executed."""
    found = []
    for name in config_names():
        text = docstring(name) or ""
        source, time = re.search(r"^Source: .*", text, re.M), re.search(r"^Time: +(.*?)\.?$", text, re.M)
        post = re.search(r"post (P\d{3})", source[0]) if source else None
        found.append(Summary(name, text.split("\n")[0], post[1] if post else "-", time[1] if time else "-"))
    return found


def docstring(name: str) -> str | None:
    """A config's docstring; nothing is executed."""
    return ast.get_docstring(ast.parse((configs_folder() / f"{name}.py").read_text(encoding="utf-8")))


_READ: dict[str, str] = {}


def file_of(name: str) -> str | None:
    """The file that this program read the config of that name from, if any."""
    return _READ.get(name)


def load_config(reference: str) -> Any:
    """Runs a config file's `get_config(variant, …)`.

    A config file is Python and is executed: read somebody else's before you use it. (`config.json` is data.)

    Args:
      reference: "name", "path.py", or either with a variant and arguments that the file takes: "mlp_gan:hidden=64",
        "mlp_gan:minimax,hidden=64".

    Raises:
      UserError: No such config or variant, its code fails, or it makes no config; one line with file and line number.
    """
    name, colon, variant = reference.partition(":") if reference[1:2] != ":" else (reference, "", "")
    if any(not part or part.endswith("=") for part in variant.split(",") if colon):
        raise UserError(f"--config={reference}: a part behind the colon is empty: name a value, or leave it out.")
    path = Path(name) if name.endswith(".py") else configs_folder() / f"{name}.py"
    if not os.path.isfile(path):
        if name.endswith(".py"):
            raise UserError(f"--config={reference}: there is no file {path}.")
        raise UserError(f"--config={reference}: there is no config {name!r}.{nearest(name, config_names())}")
    module = types.ModuleType(f"tfgan_lab_config_{path.stem}")
    module.__file__ = str(path)
    try:
        # From its text: an import would run the bytecode of an older file of the same second and size.
        exec(compile(path.read_bytes(), path, "exec", dont_inherit=True), vars(module))
        config = module.get_config(**_arguments(module.get_config, variant))
        if not isinstance(config, GanConfig | ClassifierConfig):
            kind = "None" if config is None else f"a {type(config).__name__}"
            raise TypeError(f"get_config returns {kind}: it must return a GanConfig or a ClassifierConfig")
        config.name = f"{path.stem}:{variant}" if variant else path.stem
        _READ[config.name] = os.path.abspath(path)
        return validate(config)  # which copies every part: a file may use one object for two fields
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a user's code may raise anything and exit; its place is what helps
        fault = explain(error) if isinstance(error, ValidationError) else _first_lines(error)
        raise UserError(f"--config={reference}: {path.name}{_line_of(error, path)}: {fault}") from None


def on_networks_of(name: str, config: GanConfig) -> GanConfig:
    """The config's game on the networks of the config called `name`: a new loss on old networks.

    With the networks come their start values, latents and labels, how many samples are drawn, and whether oneDNN computes.

    Raises:
      UserError: As `load_config`.
    """
    other = load_config(name)
    taken = ("generator", "discriminator", "g_init", "d_init", "latents", "num_labels", "num_samples", "onednn")
    return dataclasses.replace(config, **{field: getattr(other, field) for field in taken})


def _arguments(get_config: Any, text: str) -> dict[str, Any]:
    """What stands behind a config's name, "VARIANT,name=value,…", as `get_config` takes it."""
    known, given = inspect.signature(get_config).parameters, {}
    for part in text.split(",") if text else ():
        name, value = part.split("=", 1) if "=" in part else ("variant", part)
        if name not in known:
            raise UserError(f"--config=…:{text}: this config takes no {name!r}.{nearest(name, known)}")
        if name in given:
            raise UserError(f"--config=…:{text}: {name} is given twice: name it once.")
        given[name] = value if name == "variant" else _as(get_type_hints(get_config).get(name, Any), name, value)
    return given


def _as(wanted: Any, name: str, text: str) -> Any:
    """What a text says to a parameter of that type: a Python literal, or itself. Raises `UserError` if it is neither."""
    values: list[Any] = [text]
    with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
        values.insert(0, ast.literal_eval(text))
    for value in values:
        with contextlib.suppress(ValidationError):
            return TypeAdapter(wanted).validate_python(value, strict=True)  # else True would be 1
    raise UserError(f"--config=…:{name}={shortened(text)}: {name} must be {inspect.formatannotation(wanted)}.")


def _line_of(error: BaseException, path: Path) -> str:
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""


def _first_lines(error: BaseException) -> str:
    try:
        text = " ".join(part.strip() for part in str(error).splitlines()[:3])
    except Exception:  # a class of the user's
        text = ""
    return text if text and isinstance(error, Exception) else f"{type(error).__name__} {text}".rstrip()
