"""How numbers and names are put into sentences."""

from __future__ import annotations


def counted(number: float, noun: str) -> str:
    """Such as "1 step", "1,200 steps" and "34.3 epochs": whole numbers as they are, others to three digits."""
    text = f"{number:,.0f}" if number == int(number) or number >= 100 else f"{number:.3g}"
    return f"{text} {noun}{'' if text == '1' else 's'}"


def of_post(post: str) -> str:
    """ "post P001", or "no post's" where a config rebuilds none ("-")."""
    return "no post's" if post == "-" else f"post {post}"


def drawn_from_which(raw: bool) -> str:
    """What of a run with `ema` is drawn from."""
    return "the generator itself (--raw)" if raw else "the average of the generator's weights"
