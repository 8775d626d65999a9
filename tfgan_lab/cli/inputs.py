"""The verbs on what a run is made from: data, data make-montage, list, doctor."""

from __future__ import annotations

from typing import Any

from tfgan_lab.cli.verb import Flags, Verb, load, required, start
from tfgan_lab.system.files import refuse_foreign


def _show_flags(its: Flags) -> None:
    its.config()
    its.data()
    its.text("out", "Also a picture of some examples (.png). Omitted: none.")


def _data(values: Any, overrides: dict[str, str]) -> None:
    from tfgan_lab.data import open_source

    config = load(values.config, None, overrides)
    refuse_foreign(values.out)
    start()
    source = open_source(config.data, values.data_dir)
    print(source.chosen)
    for name, provenance in source.provenance.items():
        print(f"{name}: {provenance}")
    if values.out:
        from tfgan_lab.report.gallery import write_preview

        print(f"examples: {write_preview(source, values.out)}")


def _montage_flags(its: Flags) -> None:
    its.text("out", "The .h5 file to write (required).")
    its.number("num", 2000, "How many faces.", least=1)
    its.seed("faces")
    its.switch("overwrite", "Replace a file that is there.")


def _make_montage(values: Any, overrides: dict[str, str]) -> None:
    out = required(values, "out")
    from tfgan_lab.data.face_files import write_montage

    write_montage(out, values.num, values.seed, overwrite=values.overwrite)
    print(f"{values.num:,} faces (seed {values.seed}) in the post's layout: {out}")


def _list(values: Any, overrides: dict[str, str]) -> None:
    from tfgan_lab.config_files import summaries

    rows = summaries()
    width = max(len(row.name) for row in rows)
    for row in rows:
        print(f"{row.name:<{width}}  {row.post:<4}  {row.line} ({row.time})")


def _doctor(values: Any, overrides: dict[str, str]) -> None:
    from tfgan_lab.cli import doctor

    for line in doctor.report(values.data_dir):
        print(line, flush=True)


VERBS = {
    "data": Verb(_data, _show_flags, "shows which data a config would take", ["tfgan-lab data --config=mlp_gan --out=digits.png"]),
    "data make-montage": Verb(_make_montage, _montage_flags, "draws composite faces into a file in the post's HDF5 layout", [
        "tfgan-lab data make-montage --num=2000 --out=faces.h5",
    ]),
    "list": Verb(_list, lambda its: None, "lists the configs, each with its post and how long it trains", ["tfgan-lab list"]),
    "doctor": Verb(_doctor, Flags.data, "says what is installed and found here, and which verbs lack something", [
        "tfgan-lab doctor",
    ]),
}  # fmt: skip
