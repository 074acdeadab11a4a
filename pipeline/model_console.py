"""What the commands on a model print: texts, what is known of them, scores."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.console import show_table

if TYPE_CHECKING:
    from components.novelty import Copied
    from components.sampler import Samples
    from components.scorer import TokenScore

_BETWEEN_TEXTS = "\n\n"


def show_texts(written: Samples) -> None:
    """Shows texts."""
    print(_BETWEEN_TEXTS.join(sample.text for sample in written.samples))


class TextStream:
    """Shows texts as `show_texts` does, but for the last line end, piece by piece."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self, number: int, piece: str) -> None:
        """Prints a piece of text `number` at once."""
        print(_BETWEEN_TEXTS * (number - self._number) + piece, end="", flush=True)
        self._number = number


def show_samples_json(written: Samples, copies: Sequence[Copied] | None) -> None:
    """Prints texts, what is known of them, and what they copied."""
    samples = [{"text": sample.text, **dataclasses.asdict(sample)} for sample in written.samples]
    for sample, copied in zip(samples, copies or (), strict=bool(copies)):
        sample["copied"] = dataclasses.asdict(copied)
    speed = {"seconds": written.seconds, "characters_per_second": written.characters_per_second}
    print(json.dumps({**speed, "samples": samples}, ensure_ascii=False))


def show_statistics(written: Samples, copies: Sequence[Copied] | None) -> None:
    """Tells on stderr, as stdout has the texts, how they came about."""
    for number, sample in enumerate(written.samples):
        drawn = sample.tokens + sample.finished
        ended = "<end>" if sample.finished else "repetition" if sample.repeated else "length"
        mean = f"{sample.log_prob / drawn:.4f}" if drawn else "none"
        lines = [
            f"text {number + 1}: seed {sample.seed}",
            f"  {'tokens':<12}{sample.tokens}, ended by {ended}",
            f"  {'ln p':<12}{mean} per token",
            f"  {'copied':<12}"
            + ("unknown; give --corpus FILE" if copies is None else _shown_copy(copies[number], sample.continuation)),
        ]
        print("\n".join(lines), file=sys.stderr)
    speed = f"{written.characters_per_second:.0f} characters/s"
    print(f"{speed} ({written.seconds:.2f} s for all texts)", file=sys.stderr, flush=True)


def _shown_copy(copied: Copied, text: str) -> str:
    if not copied.span:
        return "nothing"
    span = copied.span if len(copied.span) <= 80 else f"{copied.span[:40]} … {copied.span[-39:]}"
    return f"{len(copied.span)} of {len(text)} characters: {span!r} ({copied.source}, line {copied.line})"


def show_scores(
    files: Sequence[str],
    scores: Sequence[Mapping[str, Any]],
    together: Mapping[str, Any],
    tokens: Sequence[Iterable[TokenScore]],
) -> None:
    """Shows the scores of some texts: of one as lines, of several as a table, with `tokens` those of each token first.

    Args:
        files: Names.
        scores: nats, bits_per_char, perplexity and tokens of each.
        together: The same of all.
        tokens: Of each text, or none.
    """
    for file, found in zip(files, tokens, strict=bool(tokens)):
        if len(files) > 1:
            print(f"--- {file}")
        _show_tokens(found)
        print()
    shown = [
        {name: f"{value:.6f}" if isinstance(value, float) else str(value) for name, value in score.items()}
        for score in (*scores, together)
    ]
    if len(files) == 1:
        for name, value in shown[0].items():
            print(f"{name:<15}{value}")
        return
    rows = [(file, *score.values()) for file, score in zip((*files, "all"), shown, strict=True)]
    show_table([("file", *shown[0]), *rows])


def _show_tokens(tokens: Iterable[TokenScore]) -> None:
    print(f"{'':>7}  {'token':<14}{'p':>8}{'bits':>8}{'rank':>7}  likeliest other")
    for place, token in enumerate(tokens, 1):
        figures = f"{token.p:>8.4f}{token.bits:>8.2f}{token.rank:>7}"
        other = f"{_quoted(token.alternative):<14}{token.alternative_p:.4f}"
        print(f"{place:>7}  {_quoted(token.token):<14}{figures}  {other}")


def _quoted(token: str) -> str:
    """A token as it can be seen: a space, a line end; a special as it is."""
    if token.startswith("<") and token.endswith(">") and len(token) > 2:
        return token
    return f"'{token}'" if token.isprintable() else repr(token)


def show_scores_json(
    files: Sequence[str],
    scores: Sequence[Mapping[str, Any]],
    together: Mapping[str, Any],
    tokens: Sequence[Iterable[TokenScore]],
) -> None:
    """Prints the scores of all texts together; of several also those of each, in `files`; see `show_scores`."""
    records = [{"file": file, **score} for file, score in zip(files, scores, strict=True)]
    for record, found in zip(records, tokens, strict=bool(tokens)):
        record["per_token"] = [_token_json(token) for token in found]
    shown = dict(together)
    if len(files) > 1:
        shown["files"] = records
    elif tokens:
        shown["per_token"] = records[0]["per_token"]
    print(json.dumps(shown, ensure_ascii=False))


def _token_json(token: TokenScore) -> dict[str, Any]:
    more = {"p": token.p, "bits": token.bits, "alternative_p": token.alternative_p}
    return {**dataclasses.asdict(token), **more}
