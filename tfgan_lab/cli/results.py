"""The verbs on what was trained: sample, evaluate, export, report, gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfgan_lab import pretrained
from tfgan_lab.cli.verb import DEFAULT_CONFIG, Flags, Verb, know_kinds, required, start
from tfgan_lab.errors import UserError
from tfgan_lab.system.files import refuse_foreign
from tfgan_lab.words import counted


def _raw_flag(its: Flags) -> None:
    its.switch("raw", "Of a run with ema: the generator itself, not the average of its weights.")


def _pretrained_flag(its: Flags) -> None:
    its.text(
        "pretrained", f"Instead of --workdir: a generator that comes with the package: {', '.join(pretrained.names())}. Omitted: --workdir."
    )  # fmt: skip


def _trained(values: Any) -> str:
    """The run, or the generator that comes with the package, as `restore_run` takes it."""
    if values.workdir and values.pretrained:
        raise UserError("--workdir and --pretrained exclude each other: name one.")
    if values.pretrained:
        pretrained.card_of(values.pretrained)  # a mistyped name is told before TensorFlow starts
        return pretrained.PREFIX + values.pretrained
    return required(values, "workdir")


def _sample_flags(its: Flags) -> None:
    its.kinds()
    its.text("workdir", "A trained run (required, or --pretrained).")
    _pretrained_flag(its)
    its.number(
        "num", None, "How many samples. Omitted: 64; with --label the post's 2x3 grid; without it six of each digit for "
        "conditional generators; 10,000 numbers for the Gaussian, 2,500 points of the plane.", 1, 1_000_000,
    )  # fmt: skip
    its.seed()
    its.text(
        "label", "What to draw, by its number or by the name of its class, such as 3 or sneaker (conditional generators only). "
        "Omitted: all, a row each.",
    )  # fmt: skip
    _raw_flag(its)
    its.text("out", "The file to write, .png or .npz. Omitted: drawn.png in --workdir, or here.")


def _sample(values: Any, overrides: dict[str, str]) -> None:
    trained = _trained(values)
    out = values.out or (f"{values.workdir}/drawn.png" if values.workdir else "drawn.png")
    if not out.endswith((".png", ".npz")):
        raise UserError(f"--out={out}: the file's name must end in .png or .npz.")
    refuse_foreign(out)
    start()
    know_kinds(values)
    from tfgan_lab.report.sample import refuse_number, sample_run, write_samples

    if values.num:
        refuse_number(trained, values.num, out)
    drawn, run = sample_run(trained, values.num, values.seed, values.label, values.raw)
    for note in run.notes:
        print(note)
    write_samples(drawn, out, run, values.label)
    print(
        f"{counted(len(drawn), 'sample')} (seed {values.seed}) of {run.config.name} after {counted(run.step, 'step')}: {out}"
    )


def _evaluate_flags(its: Flags) -> None:
    its.kinds()
    its.text("workdir", "A trained run: its export is evaluated (required, or --saved_model).")
    its.text("saved_model", "Instead of --workdir: a SavedModel folder that tfgan-lab exported. Omitted: the run's.")
    its.number(
        "num", None, "How many samples. Omitted: 10,000 images (2,000 judged ones of your classes; 26,000 stacked digits; montages: half the real ones, at most 1,000), 100,000 numbers or 2,500 points.",
        1, 1_000_000,
    )  # fmt: skip
    its.judge()
    its.seed()
    its.text(
        "out", "The JSON file to write. Omitted: metrics.json in --workdir, where report.html is brought up to date, too; or beside --saved_model.",
    )  # fmt: skip
    its.data()


def _evaluate(values: Any, overrides: dict[str, str]) -> None:
    if values.workdir and values.saved_model:
        raise UserError("--workdir and --saved_model exclude each other: name one.")
    run = values.saved_model or required(values, "workdir")
    know_kinds(values)
    from tfgan_lab.api import evaluate

    result = evaluate(run, values.data_dir, values.num, values.judge, values.seed, values.out)
    from tfgan_lab.evaluation.exported import print_table

    print_table(result)
    if "page" in result:
        print(f"on its page: {result['page']}", flush=True)


def _export_flags(its: Flags) -> None:
    its.kinds()
    its.text("workdir", "A trained run (required, or --pretrained).")
    _pretrained_flag(its)
    _raw_flag(its)
    its.text(
        "out", "Where the SavedModel goes; with --format=serving the folder of all versions. Omitted: export (or serving) in --workdir, or here.",
    )  # fmt: skip
    its.listed(
        "format", "saved_model, litert, onnx, several with commas between: the others are made of the SavedModel and lie in its folder. Or serving: the next "
        "version of a model for TensorFlow Serving, with warm-up requests.", ["saved_model"],
    )  # fmt: skip


def _export(values: Any, overrides: dict[str, str]) -> None:
    trained = _trained(values)
    serving = values.format == ["serving"]
    unknown = set(values.format) - {"saved_model", "litert", "onnx"}
    if unknown and not serving:
        raise UserError(
            f"--format={','.join(values.format)}: formats are saved_model, litert and onnx, or serving by itself."
        )
    start()
    know_kinds(values)

    from tfgan_lab.export import formats
    from tfgan_lab.export.saved_model import export_network, refuse_no_export
    from tfgan_lab.export.serving import export_serving, refuse_missing_protos
    from tfgan_lab.networks import drawn_from
    from tfgan_lab.training.restored import restore_run

    others = [form for form in dict.fromkeys(values.format) if form not in ("saved_model", "serving")]
    for form in others:
        formats.refuse_missing_converters(form)
    if serving:
        refuse_missing_protos()
    kind = "serving" if serving else "export"
    out = values.out or (f"{values.workdir}/{kind}" if values.workdir else kind)
    if not serving:
        refuse_no_export(out)
    run = restore_run(trained, values.raw)
    network = drawn_from(run.networks)
    facts = {"step": run.step, "seed": run.config.seed, "trained_on": run.trained_on} | (
        {"raw": True} if values.raw else {}
    )
    if serving:
        out, difference = export_serving(run.config, network, Path(out), facts)
    else:
        difference = export_network(run.config, network, out, facts)
    for note in run.notes:
        print(note)
    print(
        f"{out}: {run.config.name} after {counted(run.step, 'step')}; largest difference to the live network {difference:.1e} (16 inputs)"
    )
    for form in others:
        file, difference = formats.convert(Path(out), form)
        size = file.stat().st_size / 1e6
        print(
            f"{file}: {size:.1f} MB; largest difference to the SavedModel {difference:.1e} ({formats.CHECKED} inputs)"
        )


def _report_flags(its: Flags) -> None:
    its.kinds()
    its.texts(
        "workdir", "A run, trained or in training (required); give the flag again for runs side by side. The folder of a sweep, or of many seeds, stands for its runs.",
    )  # fmt: skip
    its.text(
        "out",
        "The .html file to write. Omitted: report.html in the run's folder, or in the one above several, if all are in one; else here.",
    )
    its.data()


def _report(values: Any, overrides: dict[str, str]) -> None:
    workdirs = required(values, "workdir")
    start()
    know_kinds(values)
    from tfgan_lab.report.page import report

    _say_written(report(workdirs, values.out, values.data_dir))


def _say_written(page: Path) -> None:
    print(f"open in a browser: {page} ({page.stat().st_size / 1e6:.1f} MB, needs no network)")


def _gallery_flags(its: Flags) -> None:
    its.text("out", "The .html file to write.", "gallery.html")


def _gallery(values: Any, overrides: dict[str, str]) -> None:
    start()
    from tfgan_lab.report.page_gallery import write_gallery

    _say_written(write_gallery(values.out))


VERBS = {
    "sample": Verb(_sample, _sample_flags, "draws from a trained run", [
        f"tfgan-lab sample --workdir=runs/{DEFAULT_CONFIG} --num=64 --seed=7 --out=grid.png",
        f"tfgan-lab sample --workdir=runs/{DEFAULT_CONFIG} --num=1000 --out=digits.npz",
        "tfgan-lab sample --workdir=runs/cgan_layernorm --label=3            (the post's 2x3 grid)",
        "tfgan-lab sample --pretrained=cgan_concat --label=3                 (trained already, it comes with the package)",
    ], takes_fields=False),
    "evaluate": Verb(_evaluate, _evaluate_flags, "measures a trained run's samples (or a classifier's answers)", [
        f"tfgan-lab evaluate --workdir=runs/{DEFAULT_CONFIG}",
        "tfgan-lab evaluate --saved_model=generator --num=2000 --data_dir=MNIST_FOLDER",
    ], takes_fields=False),
    "report": Verb(_report, _report_flags, "writes a page that explains a run, or several side by side", [
        f"tfgan-lab report --workdir=runs/{DEFAULT_CONFIG}",
        "tfgan-lab report --workdir=runs/mlp_gan --workdir=runs/mlp_gan_smoothed --out=both.html",
    ], takes_fields=False),
    "gallery": Verb(_gallery, _gallery_flags, "writes a page with the trained generators of the package, to play with", [
        "tfgan-lab gallery",
    ]),
    "export": Verb(_export, _export_flags, "writes a run's generator (or classifier) as a SavedModel, LiteRT or ONNX file and checks it", [
        f"tfgan-lab export --workdir=runs/{DEFAULT_CONFIG} --out=generator",
        f"tfgan-lab export --workdir=runs/{DEFAULT_CONFIG} --format=litert,onnx",
        f"tfgan-lab export --workdir=runs/{DEFAULT_CONFIG} --format=serving --out=models/digits",
    ], takes_fields=False),
}  # fmt: skip
