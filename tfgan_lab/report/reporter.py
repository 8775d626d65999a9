"""What a run shows while it is trained and when it is done: pictures, TensorBoard, words, the page, the export."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfgan_lab.config import Config, GanConfig
from tfgan_lab.evaluation.exported import finish
from tfgan_lab.export.saved_model import export_network, refuse_strange_ops
from tfgan_lab.layer_base import every_node
from tfgan_lab.networks import build_networks, drawn_from
from tfgan_lab.report import gallery
from tfgan_lab.report.diagnosis import diagnose
from tfgan_lab.report.drawings import draw_missing, drawing_of
from tfgan_lab.report.page import write_page
from tfgan_lab.report.tensorboard import TensorBoard
from tfgan_lab.system.files import write_atomically
from tfgan_lab.training.experiment import Experiment
from tfgan_lab.training.restored import copied
from tfgan_lab.training.run import Observer, Run
from tfgan_lab.training.terminal import hint, say
from tfgan_lab.training.workdir import Workdir
from tfgan_lab.words import counted


class Reporter(Observer):
    """Draws, writes and says all that a run's folder holds beside its checkpoints, rows and samples."""

    config: Config
    folder: Workdir
    board: TensorBoard
    experiment: Experiment

    def begin(self, run: Run) -> list[str]:
        assert run.experiment is not None
        self.config, self.folder, self.experiment = run.config, run.workdir, run.experiment
        if any(
            type(node.layer).__module__ != "tfgan_lab.layers"
            for node in every_node(drawn_from(run.experiment.networks).nodes)
        ):
            refuse_strange_ops(self.config, self._network())  # before the training, not after it
        notes = draw_missing(self.folder.samples, self.config) if isinstance(self.config, GanConfig) else []
        if run.first == 0 or not (self.folder.path / "real.png").is_file():
            gallery.write_real(self.folder, run.experiment)
        if run.first == 0 and isinstance(self.config, GanConfig) and self.config.untrained:
            say(gallery.write_untrained(self.folder, run.experiment))
        self.board = TensorBoard(self.folder, run.rows)
        self.board.describe(self.config, build_networks(self.config))
        return notes

    def row(self, row: dict[str, Any]) -> None:
        self.board.scalars(row)

    def samples(self, step: int, drawn: np.ndarray) -> None:
        assert isinstance(self.config, GanConfig)
        drawing = drawing_of(self.config)
        content = drawing.picture(drawn, self.config, step)
        write_atomically(self.folder.samples / f"step-{step:08d}.png", content)
        if beside := drawing.beside(self.experiment, drawn, step):
            write_atomically(self.folder.samples / f"surface-{step:08d}.png", beside)
        self.board.samples(content, step)

    def stopped(self) -> None:
        self.board.close()

    def end(self, run: Run) -> None:
        self.board.finish()
        experiment, config, folder = run.experiment, self.config, self.folder
        assert experiment is not None
        network = self._network()
        provenance = {name: str(part) for name, part in experiment.source.provenance.items()}
        facts = {"step": run.step, "seed": config.seed, "trained_on": provenance}
        difference = export_network(config, network, folder.export, facts)
        rows = run.rows
        pictures = gallery.write_final(folder, experiment, rows)
        if done := run.step - run.first:
            say(f"{counted(done, 'step')} in {run.seconds:.0f} s ({done / max(run.seconds, 1e-9):,.0f} steps/s)")
        if rows:
            say(gallery.last_numbers(rows, experiment))
            for sentence in diagnose(config, rows, folder.read_record().get("data", {})):
                say(sentence)
        for line in finish(folder, experiment):
            say(line)
        say(f"look at: {', '.join(str(folder.path / name) for name in pictures)}")
        generator = network if isinstance(config, GanConfig) else None
        page = write_page(folder, generator, experiment.source, run.step)
        say(f"all of it on one page, to open in a browser: {page}")
        say(f"exported and checked (largest difference to the live network {difference:.1e}): {folder.export}")
        if generator is not None:
            hint(f"next: tfgan-lab sample --workdir={folder.path} --num=64 --seed=7 --out=grid.png")

    def _network(self) -> Any:
        """The same as it is now, on one device."""
        role = "generator" if isinstance(self.config, GanConfig) else "classifier"
        return copied(self.config, role, drawn_from(self.experiment.networks).variables)
