"""What a check found, and the sentence that most of them share: so much is allowed, so much there is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Finding:
    """An anomaly before it is known which check and severity it belongs to; see `anomalies.Anomaly`."""

    feature: str
    type: str
    short: str
    sentence: str = ""
    measured: tuple[float, float] | None = None


def limited(
    count: int, total: int, max_share: float, finding: Finding, what: str, details: str = ""
) -> Iterator[Finding]:
    """Yields the finding, with its sentence, if more than a share of `total` is concerned.

    Args:
        count: How many are.
        total: Of how many.
        max_share: Largest share that is tolerated.
        finding: What to yield.
        what: The rule, after "at most N % of the".
        details: What else to say.
    """
    if count > max_share * total:
        limit = "none" if max_share == 0 else f"at most {percent(max_share)}"
        are = "is" if count == 1 else "are"
        sentence = f"{limit} of the {what}; {percent(count / total)} {are} ({count:,} of {total:,}). {details}"
        yield dataclasses.replace(finding, sentence=sentence.rstrip())


def percent(share: float) -> str:
    """A share in words: `12.3 %`, with three digits that count."""
    return f"{100 * share:.3g} %"
