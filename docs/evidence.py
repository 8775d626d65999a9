"""Writes what is told of the claims and of the digits from `evidence/`: `python docs/evidence.py`.

docs/ledger.md and its pictures, what stands between their marks in README, docs/p00*.md, docs/results.md and
docs/tables.md, the verdicts on the model cards, and the package's reference.json. A test fails when one of the texts is
not what the outcomes give.
"""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfgan_lab import pretrained
from tfgan_lab.metrics import mean_interval
from tfgan_lab.posts.claims import CLAIMS, P002_EARLY, Arm, claims_with
from tfgan_lab.posts.reference import reference_bytes
from tfgan_lab.report.ledger_text import SIDES, bold_headline, markdown, with_seeds
from tfgan_lab.studies.store import Store, own_store, read_store
from tfgan_lab.studies.verdicts import judge, what_ran
from tfgan_lab.system.files import json_bytes, write_atomically

_COLUMNS = {
    "label_accuracy": "label accuracy", "nearest_neighbour_error": "1-NN error", "frechet_distance": "Fréchet",
    "recall": "recall", "parzen_log_likelihood": "Parzen",
}  # fmt: skip
_MEASURED = {
    "label_accuracy": "label accuracy", "nearest_neighbour_error": "1-NN error",
    "nearest_neighbour_error_50000": "with 50,000", "frechet_distance": "Fréchet",
    "precision": "precision", "recall": "recall", "parzen_log_likelihood": "Parzen",
}  # fmt: skip
_PUBLISHED = {
    "published: GAN": {"nearest_neighbour_error_50000": "0.063", "parzen_log_likelihood": "225 ± 2"},
    "published: CGAN": {"parzen_log_likelihood": "132 ± 1.8"},
    "published: DCGAN": {"nearest_neighbour_error_50000": "0.030"},
    "published: real digits": {"nearest_neighbour_error_50000": "0.031"},
}
_JUDGED = {
    "p_real": "p_real", "p_fake": "p_fake", "frechet": "Fréchet", "label_accuracy": "digits right",
    "digits": "digits drawn", "digit_like": "like a digit",
}  # fmt: skip
_LAWS, _LARGEST = {"ring8": "ring of 8", "grid25": "grid of 25"}, {"ring8": 8, "grid25": 25}
# n, modes, and the share of samples of high quality: VEEGAN's Table 1, PacGAN's Table 1 (standard errors).
_PAPERS = {
    "ring8": {"VEEGAN": "not told | 1 | 99.3 %", "PacGAN": "10 | 6.3 ± 0.5 | 98.2 ± 0.2 %"},
    "grid25": {"VEEGAN": "not told | 3.3 | 0.5 %", "PacGAN": "10 | 17.3 ± 0.8 | 94.8 ± 0.7 %"},
}
# Filters, steps, n, modes and KL: PacGAN's Table 2 (standard errors), whose first row is VEEGAN's.
_STACKED = {
    ("DCGAN", "stacked:filters=16"): {
        "VEEGAN's": "not told | not told | not told | 99.0 | 3.40",
        "PacGAN's": "64 | 100,000 | 10 | 78.9 ± 6.46 | 4.50 ± 0.127",
    },
    ("PacDCGAN2", "stacked:filters=16,pack=2"): {"PacGAN's": "64 | 100,000 | 10 | 1000.0 ± 0.00 | 0.06 ± 0.003"},
}
_STEPS = ("10000", "20000", "50000", "100000")
_NORMAL = (
    (Arm("mlp_gan"), "200 epochs"), (Arm("mlp_gan_smoothed"), "100 epochs"), (Arm("cgan_layernorm"), "12 epochs"),
    (Arm("cgan_concat", {"epochs": "2"}), "2 epochs (half the sum)"), (Arm("first_gan"), "the default run"),
)  # fmt: skip
_SMOOTHED = {
    "g_loss_early": "largest of G's first ten prints",
    "frechet": "Fréchet distance",
    "top_share": "share of the commonest digit",
}
_ROOT = Path(__file__).resolve().parents[1]
_INTRO = """
Made by `python docs/evidence.py` from [outcomes.jsonl](../evidence/outcomes.jsonl), a row for each run; `tfgan-lab
compare ledger --notrain` draws the same from the package alone. The commands that train it all again are
[at the end](#run-it-again).
"""
_PICTURES = """Not judged: that samples grow clearer and most of 16 are legible (P002), that the Gaussian's are absurd
first and then more similar (P004), and that the montage net draws faces ([P001](p001.md) shows some).

![Each seed's numbers against the bands](images/ledger.png)

![Our seeds beside the PyTorch programs](images/peers.png)
"""
_AGAIN = """
## Run it again

These commands train what is missing and add it to the rows:

```bash
tfgan-lab compare ledger --config=gaussian --first_seed=200 --seeds=200 --peers --store=evidence/outcomes.jsonl
tfgan-lab compare ledger --config=mnist_classifier --peers --data_dir=MNIST_FOLDER --store=evidence/outcomes.jsonl
tfgan-lab compare ledger --config=mlp_gan --budget=short --data_dir=MNIST_FOLDER --store=evidence/outcomes.jsonl
tfgan-lab compare ledger --config=mlp_gan_smoothed --budget=short --peers --data_dir=MNIST_FOLDER --store=evidence/outcomes.jsonl
tfgan-lab compare ledger --config=cgan_conv --budget=short --data_dir=MNIST_FOLDER --store=evidence/outcomes.jsonl
tfgan-lab compare ledger --config=cgan_concat --budget=short --data_dir=MNIST_FOLDER --store=evidence/outcomes.jsonl
tfgan-lab compare ledger --config=cgan_branch --budget=short --data_dir=MNIST_FOLDER --store=evidence/outcomes.jsonl
tfgan-lab compare ledger --config=first_gan --first_seed=5 --seeds=10 --store=evidence/outcomes.jsonl
tfgan-lab compare ledger --config=cgan_layernorm --peers --data_dir=MNIST_FOLDER --store=evidence/outcomes.jsonl
tfgan-lab compare ledger --config=C000b.1 --data_dir=MNIST_FOLDER --store=evidence/outcomes.jsonl
tfgan-lab compare ledger --config=C002f --seeds=331 --data_dir=MNIST_FOLDER --store=evidence/outcomes.jsonl
tfgan-lab compare ledger --config=C002g --seeds=11 --data_dir=MNIST_FOLDER --store=evidence/outcomes.jsonl
```

PyTorch's programs whose rows above name a GPU were trained on it by `evidence/train_peers.py`, with PyTorch alone;
`compare ledger --peers` of the same folder measured their weights.
"""  # noqa: E501


def texts(store: Store) -> dict[Path, bytes]:
    """Every text that the outcomes decide, by its file."""
    result = judge(store)
    title, _, rest = markdown(result).partition("\n")
    verdicts, seen, rest = rest.partition("## What had been seen before")
    written = {
        _ROOT / "docs" / "ledger.md": f"{title}\n{_INTRO}{verdicts}{_PICTURES}\n{seen}{rest}\n{_AGAIN}".encode(),
        _ROOT / "tfgan_lab" / "posts" / "reference.json": reference_bytes(store.curves),
    }
    results = _ROOT / "docs" / "results.md"
    told = results.read_text(encoding="utf-8")
    tables = {
        "cards": _cards(), "seeds": _over_seeds(store), "measured": _measured(), "parity": _parity(),
        "rescue": _rescue(),
    }  # fmt: skip
    for mark, table in tables.items():
        told = _between(mark, told, f"\n{table}\n", results)
    written[results] = told.encode()
    published = _ROOT / "docs" / "tables.md"
    text = _between("plane", published.read_text(encoding="utf-8"), f"\n{_plane()}\n", published)
    written[published] = _between("stacked", text, f"\n{_stacked()}\n", published).encode()
    claims = result["claims"]
    written |= _with_verdicts(claims)
    for post in sorted({claim["post"] for claim in claims} - {"-"}):
        path = _ROOT / "docs" / f"{post.lower()}.md"
        lines = [f"- {claim['id']}: {claim['says']} {_told(claim)}" for claim in claims if claim["post"] == post]
        told = _between("claims", path.read_text(encoding="utf-8"), "\n" + "\n".join(lines) + "\n", path)
        if post in _OF_POSTS:
            mark, table = _OF_POSTS[post]
            told = _between(mark, told, f"\n{table(store)}\n", path)
        written[path] = told.encode()
    readme = _ROOT / "README.md"
    written[readme] = _between("ledger", readme.read_text(encoding="utf-8"), _in_short(claims), readme).encode()
    faq = _ROOT / "docs" / "faq.md"
    written[faq] = _between("losses", faq.read_text(encoding="utf-8"), f"\n{_losses(store)}\n", faq).encode()
    return written


def _in_short(claims: list[dict[str, Any]]) -> str:
    """How many claims have which verdict, and those that are not reproduced."""
    found = Counter(claim["verdict"] for claim in claims)
    numbers = ", ".join(f"{number} {verdict}" for verdict, number in found.most_common())
    rest = [claim for claim in claims if claim["verdict"] != "reproduced"]
    told = [f"- {claim['id']}: {claim['says']} {_told(claim)}" for claim in rest]
    return "\n".join([f"Of {len(claims)} claims: {numbers}. All that are not reproduced:", "", *told])


def _losses(store: Store) -> str:
    """What losses and opinions are at the end of training, over seeds."""
    numbers = ("d_loss_now", "g_loss_now", "p_real", "p_fake")
    lines = ["| run, least to most of its seeds | D's loss | G's loss | p_real | p_fake |", "|---|---|---|---|---|"]
    for arm, length in _NORMAL:
        runs = [row["numbers"] for row in store.rows(arm, "posted").values() if "diverged" not in row]
        ends = [(min(run[name] for run in runs), max(run[name] for run in runs)) for name in numbers]
        cells = (f"{low:.2f} to {high:.2f}" for low, high in ends)
        lines.append(f"| `{arm.config}`, {length}, {len(runs)} seeds | {' | '.join(cells)} |")
    return "\n".join(lines)


def _with_verdicts(claims: list[dict[str, Any]]) -> dict[Path, bytes]:
    """The model cards of the package's generators, each with the claims in which its config takes part."""
    written = {}
    for path in sorted(pretrained.FOLDER.glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        fields, ids = card.pop("fields"), {claim.id for claim in claims_with(card["config"])}
        card["ledger"] = {
            claim["id"]: f"{claim['says']} Verdict: {with_seeds(claim) if claim['seeds'] else 'not run'}."
            for claim in claims
            if claim["id"] in ids
        }
        written[path] = json_bytes(card | {"fields": fields})  # the longest part comes last
    return written


def _cards() -> str:
    """What `evaluate` measured of the digits' generators that come with the package, from their model cards."""
    lines = [
        f"| generator | trained on | steps | {' | '.join(_COLUMNS.values())} |",
        "|---|---|---|" + "---|" * len(_COLUMNS),
    ]
    real: dict[str, str] = {}
    for path in sorted(pretrained.FOLDER.glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        found = {metric["name"]: metric for metric in card["metrics"]}
        if "parzen_log_likelihood" not in found or not card["judge"]:
            continue
        real = {name: _estimate(metric["real"]) for name, metric in found.items()} | real  # of the first card
        cells = [_estimate(found[name]["generated"]) if name in found else "" for name in _COLUMNS]
        count = card["trained_on"]["train"]["count"]
        lines.append(
            f"| `{card['config']}`, seed {card['seed']} | {count:,} | {card['steps']:,} | {' | '.join(cells)} |"
        )
    lines.append(f"| real training digits in the samples' place | | | {' | '.join(real[name] for name in _COLUMNS)} |")
    return "\n".join(lines)


def _over_seeds(store: Store) -> str:
    """Every arm of digits whose samples were judged, ours and PyTorch's: median [least, most] over seeds."""
    heads = ["runs", "side", "length", "seeds", *_JUDGED.values()]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in what_ran(store):
        runs = [run["numbers"] for run in store.outcomes[row["arm"], row["side"]].values() if run["numbers"]]
        if not any("frechet" in run for run in runs):
            continue
        cells = [_spread([run[name] for run in runs if name in run]) for name in _JUDGED]
        lines.append(f"| `{row['arm']}` | {SIDES[row['side']]} | {row['length']} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _turns(store: Store) -> str:
    """P000's program and ours at every k: how many runs were lost, and how far the others have collapsed."""
    lines = ["| k | side | length | seeds | lost | commonest digit | its share |", "|---|---|---|---|---|---|---|"]
    for row in what_ran(store):
        config, *changes = row["arm"].split(",")
        turns = [change.removeprefix("game.d_steps=") for change in changes if not change.startswith("epochs=")]
        if config != "mlp_gan" or not all(k.isdecimal() for k in turns):
            continue
        runs = store.outcomes[row["arm"], row["side"]].values()
        lost = sum("diverged" in run for run in runs)
        known = [run["numbers"] for run in runs if "top_share" in run["numbers"]]
        which = ", ".join(sorted({f"{numbers['top_digit']:.0f}" for numbers in known}))
        shares = _spread([numbers["top_share"] for numbers in known])
        k, side = turns[0] if turns else 1, SIDES[row["side"]]
        lines.append(f"| {k} | {side} | {row['length']} | {len(runs)} | {lost} | {which} | {shares} |")
    return "\n".join(lines)


def _smoothing(store: Store) -> str:
    """P002's early training with label smoothing and without it, seed by seed."""
    claim = next(claim for claim in CLAIMS if claim.id == "C002f")
    found = [store.rows(claim.arms[name], "posted") for name in ("smoothed", "unsmoothed")]
    seeds = sorted(set.intersection(*({seed for seed in rows if rows[seed]["numbers"]} for rows in found)))
    lines = [
        f"| {len(seeds)} seeds, median [least, most] | with | without | smaller with it |", "|---|---|---|---|"
    ]  # fmt: skip
    for number, label in _SMOOTHED.items():
        pairs = [tuple(rows[seed]["numbers"][number] for rows in found) for seed in seeds]
        smaller = sum(ours < other for ours, other in pairs)
        lines.append(
            f"| {label} | {' | '.join(_spread(list(side)) for side in zip(*pairs, strict=True))} | {smaller} |"
        )
    early = {"d_loss_early": max(d for d, _ in P002_EARLY), "g_loss_early": max(g for _, g in P002_EARLY)}
    less = [sum(row["numbers"].get(name, posts) < posts for row in found[0].values()) for name, posts in early.items()]
    lines += [
        "",
        "C002a.2 asks whether most seeds spike as the post's run does. That one is ordinary: its largest early D loss",
        f"is above those of {less[0]} of our {len(found[0])} seeds, its largest early G loss above those of {less[1]}.",
    ]
    return "\n".join(lines)


# The table of its own that a post's page has: (its mark, what writes it).
_OF_POSTS = {"P000": ("turns", _turns), "P002": ("smoothing", _smoothing)}


def _measured() -> str:
    """evidence/measured.jsonl: every arm over its seeds, real digits in the samples' place, and what was published."""
    lines = [f"| runs | seeds | {' | '.join(_MEASURED.values())} |", "|---" * (len(_MEASURED) + 2) + "|"]
    arms: dict[str, list[dict[str, float]]] = {}
    for row in _rows("measured"):
        arms.setdefault(row["arm"], []).append(row["numbers"])
    real = arms.pop("real", None)
    for arm, runs in arms.items():
        cells = [_spread([run[name] for run in runs if name in run]) for name in _MEASURED]
        lines.append(f"| `{arm}` | {len(runs)} | {' | '.join(cells)} |")
    if real:
        lines.append(f"| real training digits | | {' | '.join(f'{real[0][name]:.3g}' for name in _MEASURED)} |")
    for source, known in _PUBLISHED.items():
        lines.append(f"| {source} | | {' | '.join(known.get(name, '') for name in _MEASURED)} |")
    return "\n".join(lines)


def _parity() -> str:
    """evidence/parity.jsonl."""
    columns = ("forward", "loss", "gradient", "weights")
    lines = ["| config | batch | forward | loss | gradient | weights after 100 |", "|---|---|---|---|---|---|"]
    for row in _rows("parity"):
        cells = [f"{row[name]:.0e}" if row[name] else "0" for name in columns]
        lines.append(f"| {row['config']} | {row['batch']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _rescue() -> str:
    """evidence/rescue.json, a rescue's study.json: who was saved by cure and fork, and each seed's modes."""
    result = json.loads((_ROOT / "evidence" / "rescue.json").read_text(encoding="utf-8"))
    cures, cells = result["rescue"]["cures"], {}
    for row in result["rows"]:
        modes = ", ".join(f"{value:.0f}" for value in sorted(row["numbers"]["modes"]["values"]))
        cells[tuple(row["values"].values())] = modes
    steps = list(cures[0]["saved"])
    lines = [f"| cure | {' | '.join(f'forked at {int(step):,}' for step in steps)} |", "|---" * (len(steps) + 1) + "|"]
    for cure in cures:
        values = tuple(cure["values"].values())
        found = [
            f"{held} of {number} ({cells[(step, *values)]} modes)" for step, (held, number) in cure["saved"].items()
        ]
        lines.append(f"| {', '.join(values)} | {' | '.join(found)} |")
    return "\n".join(lines)


def _plane() -> str:
    """Our runs in the plane beside what papers print of the plain GAN, and its modes through training."""
    lines = ["| | n | modes | of high quality |", "|---|---|---|---|"]
    steps = " | ".join(f"{int(step):,}" for step in _STEPS)
    through = ["", f"| modes of seeds 0, 1, … after so many steps | {steps} |", "|---" * (len(_STEPS) + 1) + "|"]
    for law, name in _LAWS.items():
        lines += [f"| {name}, {paper}'s, published | {told} |" for paper, told in _PAPERS[law].items()]
        rows = [row for row in _rows("tables") if row["config"]["name"] == f"plane:{law}"]
        modes, good = ([row["numbers"][key] for row in rows] for key in ("modes", "high_quality"))
        shares = _mean([100 * share for share in good], 100)
        lines.append(f"| {name}, VEEGAN's, ours | {len(rows)} | {_mean(modes, _LARGEST[law])} | {shares} % |")
        each = [", ".join(f"{row['modes'][step]:.0f}" for row in rows) for step in _STEPS]
        through.append(f"| {name} | {' | '.join(each)} |")
    return "\n".join(lines + through)


def _stacked() -> str:
    """Our runs on stacked MNIST beside PacGAN's Table 2."""
    lines = ["| | filters | steps | n | modes | KL |", "|---|---|---|---|---|---|"]
    for (name, config), told in _STACKED.items():
        lines += [f"| {name}, {paper}, published | {row} |" for paper, row in told.items()]
        ours = [row for row in _rows("tables") if row["config"]["name"] == config]
        for step in sorted({row["step"] for row in ours}):
            rows = [row["numbers"] for row in ours if row["step"] == step]
            modes, kl = (_mean([row[key] for row in rows], most) for key, most in (("modes", 1000), ("kl_modes", 7)))
            lines.append(f"| {name}, ours | 16 | {step:,} | {len(rows)} | {modes} | {kl} |")
    return "\n".join(lines)


def _mean(values: list[float], largest: float) -> str:
    """Mean ± standard error [95 % interval, cut at what is possible]; of one value that value."""
    if len(values) == 1:
        return f"{values[0]:.3g}"
    found = mean_interval(values)
    low, high = max(found.low, 0), min(found.high, largest)
    return f"{found.value:.3g} ± {found.standard_error:.2g} [{low:.3g}, {high:.3g}]"


def _rows(name: str) -> list[dict[str, Any]]:
    text = (_ROOT / "evidence" / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    return f"{statistics.median(values):.3g} [{min(values):.3g}, {max(values):.3g}]"


def _estimate(of: Mapping[str, float]) -> str:
    return f"{of['value']:.3g} [{of['low']:.3g}, {of['high']:.3g}]"


def _between(mark: str, document: str, text: str, path: Path) -> str:
    """A document with the text between its marks replaced."""
    pattern = rf"(<!-- {mark} -->\n).*(\n<!-- /{mark} -->)"
    new, found = re.subn(pattern, lambda marks: marks[1] + text + marks[2], document, flags=re.DOTALL)
    assert found == 1, f"{path}: it needs <!-- {mark} --> and <!-- /{mark} -->, once each"
    return new


def _share(claim: Mapping[str, Any]) -> str:
    return f"{len(claim['shown'])} of {len(claim['seeds'])}" if claim["seeds"] else "-"


def _told(claim: Mapping[str, Any]) -> str:
    seeds = f" ({_share(claim)} seeds)" if claim["seeds"] else ""
    return f"{bold_headline(claim)}{seeds}."


def main() -> None:
    """Writes all of it."""
    from tfgan_lab.figures import png
    from tfgan_lab.report import ledger_plots

    store = read_store(own_store())
    for path, content in texts(store).items():
        write_atomically(path, content)
    result = judge(store)
    images = _ROOT / "docs" / "images"
    write_atomically(images / "ledger.png", png(ledger_plots.ledger(result)))
    write_atomically(images / "peers.png", png(ledger_plots.peers(result["peers"])))


if __name__ == "__main__":
    main()
