"""The live page: what it shows, what it refuses, and that whoever trains does not notice."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import command, fingerprint

from tfgan_lab import cli
from tfgan_lab.report import live
from tfgan_lab.report.reporter import Reporter

GAN = "gaussian:smoke"


def ask(port: int, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection(live.HOST, port, timeout=120)
    connection.putrequest(method, path, skip_host=True)
    for name, value in ({"Host": f"localhost:{port}"} | {k.replace("_", "-"): v for k, v in headers.items()}).items():
        if value:
            connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, dict(answer.headers), answer.read().decode()


def port_in(text: str) -> int:
    return int(text.partition("http://127.0.0.1:")[2].partition("/")[0])


@pytest.fixture
def run(trained: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained(GAN), tmp_path / "run"))


@pytest.fixture
def port(run: Path) -> Iterator[int]:
    with live.listen(0) as listening, live.server_of(listening, run) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        assert listening.getsockname()[0] == "127.0.0.1"
        yield listening.getsockname()[1]
        server.shutdown()


def test_it_is_the_runs_page_and_follows_it(port: int) -> None:
    status, headers, page = ask(port)
    assert status == 200
    for said in ("finished: 20 steps", "Densities, real and generated", "Curves", "This page follows the run."):
        assert said in page
    assert f'data-state="{headers["ETag"].strip(chr(34))}"' in page
    assert ask(port, If_None_Match=headers["ETag"])[::2] == (304, "")
    assert ask(port, If_None_Match='"another"')[0] == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("path", "method", "host", "status"),
    [
        ("/run.json", "GET", "localhost", 404), ("/../run.json", "GET", "localhost", 404), ("/%2e%2e/run.json", "GET", "localhost", 404),
        ("//run.json", "GET", "localhost", 404), ("/?x", "GET", "localhost", 404), ("run.json", "GET", "localhost", 404),
        ("/", "GET", "evil.example", 403), ("/", "GET", "localhost.evil.example:80", 403), ("/", "GET", "", 403),
        ("/run.json", "GET", "evil.example", 403), ("/", "POST", "localhost", 501), ("/", "GET", "127.0.0.1", 200),
    ],
)  # fmt: skip
def test_nothing_else_is_served_and_to_nobody_else(path: str, method: str, host: str, status: int, port: int) -> None:
    assert ask(port, path, method, Host=host)[0] == status


def test_it_is_built_when_the_folder_has_changed_and_not_too_often(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, built = [1000.0], []
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(live.LivePage, "_build", lambda self, state: built.append(state) or state.encode())
    page = live.LivePage(run)
    first = page.now()
    now[0] += 60
    assert page.now() == first and len(built) == 1, "nothing has changed"
    with (run / "metrics.jsonl").open("a") as file:
        file.write("{}\n")
    assert page.now() != first and len(built) == 2
    (run / "samples" / "step-00000021.npz").touch()
    assert len({page.now(), page.now()}) == 1 and len(built) == 2, "at most every few seconds"
    now[0] += 3
    page.now()
    assert len(built) == 3
    for other in (run / "report.html", run / "checkpoints" / "x.index"):
        other.touch()
    now[0] += 60
    page.now()
    assert len(built) == 3, "it is not built from these"


def test_a_folder_without_a_run_says_so_until_there_is_one(run: Path, tmp_path: Path) -> None:
    page = live.LivePage(tmp_path / "none" / "<b>")
    content = page.now()[1].decode()
    assert "No run yet" in content and "&lt;b&gt;" in content and "live" in content
    assert b"2 runs side by side" not in live.LivePage(run).now()[1]


@pytest.mark.parametrize("verb", [["watch"], ["train", f"--config={GAN}", "--live"]])
def test_a_port_in_use_is_one_line(verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with live.listen(0) as taken:
        port = taken.getsockname()[1]
        assert cli.main([*verb, f"--workdir={tmp_path / 'run'}", f"--port={port}"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"tfgan-lab: --port={port} cannot be had (") and said.err.count("\n") == 1
    assert said.out == "" and not (tmp_path / "run").exists()


def test_watching_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["watch", f"--workdir={tmp_path}"]) == 2
    assert "is empty: train a run in it" in capsys.readouterr().err


@pytest.mark.slow
def test_training_does_not_notice(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same bits; the page is there while it trains, with what there is by then, and goes with it."""
    seen: list[tuple[int, str]] = []
    as_ever = Reporter.row

    def row(self: Reporter, row: dict[str, Any]) -> None:
        as_ever(self, row)
        if row["kind"] == "train" and not seen:
            port = port_in(capfd.readouterr().out)
            seen.append((port, ask(port)[2]))

    monkeypatch.setattr(Reporter, "row", row)
    assert cli.main(["train", f"--config={GAN}", "--live", f"--workdir={tmp_path / 'run'}"]) == 0
    assert fingerprint(tmp_path / "run") == fingerprint(trained(GAN))
    ((port, page),) = seen
    assert "running: step 10 of 20" in page and "This page follows the run." in page
    with pytest.raises(ConnectionRefusedError):
        ask(port)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_page_ends_with_its_process(number: int, run: Path, tmp_path: Path) -> None:
    """A killed training leaves no server; `watch` serves until it is stopped."""
    verb = ["watch", f"--workdir={run}"]
    if number == signal.SIGKILL:
        verb = ["train", "--live", f"--config={GAN}", "--config.steps=1000000", f"--workdir={tmp_path / 'other'}"]
    process = command(*verb, PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    port = port_in(process.stdout.readline())
    assert ask(port)[0] == 200
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -9)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            ask(port)
        except (ConnectionError, http.client.HTTPException):
            return
        time.sleep(0.1)
    raise AssertionError("it is still served")
