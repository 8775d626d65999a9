"""The ledger of claims in words: Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tfgan_lab.posts.claims import FEWEST_SEEDS, MOST_SEEDS, verdict

SIDES = {"ours": "ours", "peer": "PyTorch"}


def markdown(result: Mapping[str, Any]) -> str:
    """The whole ledger: a table of verdicts, the bands and where they come from, and our seeds beside the peers'."""
    lines = [
        "# The ledger of claims", "",
        "A claim holds for a seed if every number of it lies in its band. Judged are runs as long as the post's, if there are five. Over seeds it is", "",
        *(f"- {line}" for line in result["rule"]), "",
        "| claim | the post | seeds that show it (90 % interval) | verdict |", "|---|---|---|---|",
        *(_claim_row(claim) for claim in result["claims"]), "",
        "## What had been seen before", "",
        *(f"- {line}" for line in result["known"]), "",
        "## The bands", "",
        "Median [least, most] over seeds.", "",
        "| claim | number | band | ours |", "|---|---|---|---|",
        *(row for claim in result["claims"] for row in _gauge_rows(claim)), "",
        "Where the bands come from:", "",
        *(f"- {', '.join(ids)}: {why}." for why, ids in _reasons(result["claims"]).items()),
    ]  # fmt: skip
    if result["peers"]:
        lines += ["", *_peer_lines(result["peers"])]
    lines += ["", *_ran_lines(result["ran"])]
    return "\n".join(lines)


def _reasons(claims: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Where bands come from, each told once: the claims that it is told of."""
    found: dict[str, list[str]] = {}
    for claim in claims:
        found.setdefault(claim["why"], []).append(claim["id"])
    return found


def headline(claim: Mapping[str, Any]) -> str:
    """A verdict with what limits it: never "reproduced" alone where data or length are not the post's."""
    return ", ".join(filter(None, [claim["verdict"], limits_of(claim)]))


def limits_of(claim: Mapping[str, Any]) -> str:
    """What limits a verdict: where data or length are not the post's; often nothing."""
    return "; ".join(claim["limits"])


def bold_headline(claim: Mapping[str, Any]) -> str:
    """`headline` in Markdown."""
    return headline({**claim, "verdict": f"**{claim['verdict']}**"})


def with_seeds(claim: Mapping[str, Any]) -> str:
    """A verdict with what limits it and how many seeds show the claim."""
    return f"{headline(claim)} ({len(claim['shown'])} of {len(claim['seeds'])} seeds)"


def next_step(claims: Sequence[Mapping[str, Any]], config: str | None, places: str) -> str:
    """What to do after the ledger, with the command that does it; `places` are the flags that name its files."""
    command = f"tfgan-lab compare ledger{f' --config={config}' if config else ''}{places}"
    needed = {
        claim["id"]: claim["settled_by"] or FEWEST_SEEDS
        for claim in claims
        if claim["verdict"] == "not run" or (claim["verdict"] == "open" and claim["settled_by"])
    }
    limits = [limit for claim in claims for limit in claim["limits"]]
    if needed:
        seeds = min(needed.values())
        names = [claim for claim, number in needed.items() if number == seeds]
        if len(names) == 1:
            command = f"tfgan-lab compare ledger --config={names[0]}{places}"
        return f"next: {', '.join(names)} can be settled by more seeds: {command} --seeds={seeds}"
    if any("data" in limit or "digits" in limit for limit in limits):
        return f"next: on the post's data: {command} --data_dir=MNIST_FOLDER"
    if limits:
        return f"next: as long as the post trains: {command} --budget=posted"
    if config:
        return f"next: the verdicts on all claims: tfgan-lab compare ledger --notrain{places}"
    return "next: one run of a config in pictures and words: tfgan-lab train --config=mlp_gan"


def _claim_row(claim: Mapping[str, Any]) -> str:
    n, shown = len(claim["seeds"]), len(claim["shown"])
    low, high = claim["interval"]
    share = f"{shown} of {n} ({low:.0%} to {high:.0%})" if n else "-"
    printed = f"{claim['says']} It shows: {claim['printed']}."
    return f"| {claim['id']} | {printed} | {share} | {bold_headline(claim)}{_settled(claim)} |"


def _settled(claim: Mapping[str, Any]) -> str:
    if claim["verdict"] != "open":
        return ""
    needed = claim["settled_by"]
    return f"; at this share {needed or MOST_SEEDS:,} seeds would {'' if needed else 'not '}settle it"


def _gauge_rows(claim: Mapping[str, Any]) -> list[str]:
    bands = [(gauge, f"{gauge['low']:g} to {gauge['high']:g}") for gauge in claim["gauges"]]
    return [f"| {claim['id']} | {gauge['label']} | {band} | {_spread(gauge['values'])} |" for gauge, band in bands]


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return f"{statistics.median(known):.4g} [{min(known):.4g}, {max(known):.4g}], n={len(known)}"


def _peer_lines(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "## Our seeds beside the PyTorch programs'", "",
        "Both sides trained equally long on the same data, each with its own random numbers, and measured by the same code. Equivalent: the 90 % interval of "
        "the difference of means (Welch) lies within the margin, that is, two one-sided tests at 5 %; differs: it lies beyond; open: neither. p is of a "
        "two-sided Mann-Whitney test; with so many tests, one in twenty is below 0.05 by chance. Margins are ours, the same for all configs: of the Fréchet "
        "distance 20 (untrained nets: 180 to 330); where both sides lie below that, the margin is too wide to find anything.", "",
        "| config | length | number | ours | PyTorch | difference | margin | finding | p |", "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for trial in trials:
        for row in trial["rows"]:
            p = "-" if row["p"] is None else f"{row['p']:.3f}"
            shift = "-" if row["shift"] is None else "{:.3g} to {:.3g}".format(*row["shift"])
            cells = [trial["arm"], trial["length"], row["label"], _spread(row["ours"]), _spread(row["peer"])]
            lines.append(f"| {' | '.join([*cells, shift, format(row['margin'], 'g'), row['finding'], p])} |")
    told = (
        f"{trial['arm']}, {trial['length']}: {trial['data']}{_shown_by(trial)}{_diverged(trial)}" for trial in trials
    )
    return [*lines, "", *(f"- {words}" for words in told)]


def _shown_by(trial: Mapping[str, Any]) -> str:
    words = ""
    for claim in trial["claims"]:
        sides = zip(claim["shown"], ("our", "PyTorch's"), (trial["ours"], trial["peers"]), strict=True)
        told = [f"{shown} of {whose} {seeds} seeds show it ({verdict(shown, seeds)})" for shown, whose, seeds in sides]
        words += f"; {claim['id']}: {', '.join(told)}"
    return words


def _ran_lines(ran: Sequence[Mapping[str, Any]]) -> list[str]:
    data = list(dict.fromkeys(row["data"] for row in ran))
    lines = [
        "## What ran", "",
        "Minutes are of training, one core each, or a share of the GPU that is named, with whatever else the machine did; data are named below the table.", "",
        "| runs | side | seeds | length | minutes | data | commit, day and GPU |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in ran:
        side, which = SIDES[row["side"]], str(data.index(row["data"]) + 1)
        cells = [row["arm"], side, _seeds(row["seeds"]), row["length"], f"{row['minutes']:.1f}", which]
        lines.append(f"| {' | '.join([*cells, row['made'] or '-'])} |")
    return [*lines, "", *(f"{number}. {words}" for number, words in enumerate(data, 1))]


def _seeds(seeds: Sequence[int]) -> str:
    spans: list[list[int]] = []
    for seed in seeds:
        if spans and seed == spans[-1][1] + 1:
            spans[-1][1] = seed
        else:
            spans.append([seed, seed])
    return ", ".join(f"{first} to {last}" if last > first else str(first) for first, last in spans)


def _diverged(trial: Mapping[str, Any]) -> str:
    ours, peers = trial["diverged"]
    return f"; diverged and omitted: {ours} of ours, {peers} of PyTorch's" if ours or peers else ""
