"""The checks: (statistics, schema, what was accepted before) → anomalies. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tensorflow_metadata.proto.v0 import schema_pb2

from components.example_validator.anomalies import Anomaly
from components.example_validator.fields import field_domain, required_fields
from components.example_validator.findings import Finding, limited, percent
from components.schema_gen.schema import CHARACTERS
from components.statistics_gen.characters import NO_SCRIPT, described, script
from components.statistics_gen.divergence import expected_by_chance, jensen_shannon
from components.statistics_gen.statistics import LENGTH, TEXT, SplitStatistics
from pipeline.config import CheckConfig, ExampleValidatorConfig, ShareCheckConfig

# Checks that compare with the corpus accepted before: what they find ends with that corpus' being accepted.
AGAINST_BASELINE = frozenset({"drift", "script_drift"})
_NAMED = 5


@dataclass(frozen=True)
class Case:
    """One split, and all that it is compared with.

    Attributes:
        split: The split.
        train: The train split, or None.
        baseline: Splits of the corpus accepted before; empty without one.
        schema: What documents have to be.
    """

    split: SplitStatistics
    train: SplitStatistics | None
    baseline: Mapping[str, SplitStatistics]
    schema: schema_pb2.Schema

    def feature(self, name: str) -> schema_pb2.Feature:
        """What the schema says of a feature; an empty message if nothing."""
        return next((feature for feature in self.schema.feature if feature.name == name), schema_pb2.Feature())

    @property
    def known(self) -> frozenset[str] | None:
        """The schema's characters; None if it leaves them open."""
        vocabulary = self.feature(TEXT).natural_language_domain.vocabulary or CHARACTERS
        domains = [domain for domain in self.schema.string_domain if domain.name == vocabulary]
        return frozenset(domains[0].value) if domains else None


def validate(
    splits: Mapping[str, SplitStatistics],
    schema: schema_pb2.Schema,
    baseline: Mapping[str, SplitStatistics] | None,
    config: ExampleValidatorConfig,
) -> list[Anomaly]:
    """Compares statistics with a schema, with each other, and with those accepted before.

    Args:
        splits: Split → its statistics.
        schema: What documents have to be.
        baseline: The same of the corpus that was accepted before; None without one.
        config: How much is tolerated, and what a finding does.

    Returns:
        The anomalies, in order of split and check.
    """
    found = []
    for name, split in splits.items():
        case = Case(split, splits.get("train"), baseline or {}, schema)
        for check, find in _CHECKS.items():
            settings: CheckConfig = getattr(config, check)
            if settings.severity == "off":
                continue
            for finding in find(case, settings):
                sentence = f"{name}: {finding.sentence}"
                found.append(
                    Anomaly(
                        check,
                        name,
                        finding.feature,
                        finding.type,
                        settings.severity,
                        finding.short,
                        sentence,
                        finding.measured,
                    )
                )
    return found


def unseen_characters(case: Case, config: ShareCheckConfig) -> Iterator[Finding]:
    """Characters outside the schema's."""
    known = case.known
    if known is None:
        return
    unseen = {character: n for character, n in case.split.characters.items() if character not in known}
    what = "characters may be outside the schema's"
    yield from limited(
        sum(unseen.values()),
        case.split["characters"],
        config.max_share,
        Finding(TEXT, "FEATURE_COVERAGE_TOO_LOW", "Unseen characters"),
        what,
        "Most frequent: " + _named(unseen),
    )


def new_script(case: Case, config: ShareCheckConfig) -> Iterator[Finding]:
    """Characters in a script that none of the schema's characters has."""
    if case.known is not None:
        known = frozenset(map(script, case.known))
        yield from _scripts(case.split, known, config, "New script", "that none of the schema's characters has")


def script_drift(case: Case, config: ShareCheckConfig) -> Iterator[Finding]:
    """Characters in a script that the corpus accepted before has nowhere."""
    if case.baseline:
        known = frozenset(name for split in case.baseline.values() for name in split.scripts)
        yield from _scripts(case.split, known, config, "Script drift", "that the corpus accepted before has nowhere")


def _scripts(
    split: SplitStatistics, known: frozenset[str], config: ShareCheckConfig, short: str, which: str
) -> Iterator[Finding]:
    fresh = {name: n for name, n in split.scripts.items() if name not in known | NO_SCRIPT}
    listed = {character: n for character, n in split.characters.items() if script(character) in fresh}
    yield from limited(
        sum(fresh.values()),
        split["characters"],
        config.max_share,
        Finding(TEXT, "ENUM_TYPE_UNEXPECTED_STRING_VALUES", short),
        f"characters may be in a script {which}",
        f"Scripts: {', '.join(f'{name} ({n:,})' for name, n in fresh.items())}. Most frequent: {_named(listed)}",
    )


def invalid_characters(case: Case, config: ShareCheckConfig) -> Iterator[Finding]:
    """Characters that no text should hold."""
    invalid = case.split.invalid
    yield from limited(
        sum(invalid.values()),
        case.split["characters"],
        config.max_share,
        Finding(TEXT, "ENUM_TYPE_INVALID_UTF8", "Invalid characters"),
        "characters may be control, replacement, private-use or unassigned ones",
        "Most frequent: " + _named(invalid),
    )


def empty_documents(case: Case, config: ShareCheckConfig) -> Iterator[Finding]:
    """Documents without a character."""
    yield from limited(
        case.split["empty_documents"],
        case.split.documents,
        config.max_share,
        Finding(TEXT, "FEATURE_TYPE_NO_VALUES", "Empty documents"),
        "documents may be empty",
    )


def document_length(case: Case, config: CheckConfig) -> Iterator[Finding]:
    """Documents shorter or longer than the schema says; empty ones are a matter of their own."""
    bounds = case.feature(LENGTH).int_domain
    shortest, longest = case.split["shortest_document"], int(case.split.lengths.max)
    if not longest:
        return
    if bounds.HasField("min") and shortest < bounds.min:
        sentence = f"documents may not be shorter than {bounds.min:,} characters; the shortest has {shortest:,}."
        yield Finding(LENGTH, "INT_TYPE_SMALL_INT", "Short document", sentence)
    if bounds.HasField("max") and longest > bounds.max:
        sentence = f"documents may not be longer than {bounds.max:,} characters; the longest has {longest:,}."
        yield Finding(LENGTH, "INT_TYPE_BIG_INT", "Long document", sentence)


def leaked_documents(case: Case, config: ShareCheckConfig) -> Iterator[Finding]:
    """Documents that train holds, too; splits that are the train split by intention do not count."""
    if case.split["same_as_train"]:
        return
    yield from limited(
        case.split["leaked_documents"],
        case.split.documents - case.split["empty_documents"],
        config.max_share,
        Finding(case.split.whole, "CUSTOM_VALIDATION", "Leaked documents"),
        "documents may be in the train split, too",
    )


def skew(case: Case, config: CheckConfig) -> Iterator[Finding]:
    """Characters against those of the train split."""
    comparator = case.feature(TEXT).skew_comparator
    if case.train is not None and case.split.name != "train":
        yield from _apart(case.split, case.train, comparator, "Skew", "the train split's")


def drift(case: Case, config: CheckConfig) -> Iterator[Finding]:
    """Characters against those of the same split of the corpus accepted before."""
    earlier = case.baseline.get(case.split.name)
    comparator = case.feature(TEXT).drift_comparator
    if earlier is not None:
        yield from _apart(case.split, earlier, comparator, "Drift", "those of the corpus accepted before")


def _apart(
    split: SplitStatistics,
    other: SplitStatistics,
    comparator: schema_pb2.FeatureComparator,
    short: str,
    whose: str,
) -> Iterator[Finding]:
    limit = comparator.jensen_shannon_divergence
    if not (limit.HasField("threshold") and split.characters and other.characters):
        return
    apart = jensen_shannon(split.characters, other.characters)
    chance = expected_by_chance(split.characters, other.characters)
    if apart > limit.threshold + chance:
        shares = [
            (split.characters.get(c, 0) / split["characters"], other.characters.get(c, 0) / other["characters"], c)
            for c in split.characters.keys() | other.characters.keys()
        ]
        shares = sorted((row for row in shares if row[0] != row[1]), key=lambda row: (-abs(row[0] - row[1]), row[2]))
        most = ", ".join(f"{described(c)} {percent(p)} for {percent(q)}" for p, q, c in shares[:_NAMED])
        yield Finding(
            TEXT,
            "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH",
            short,
            f"the characters may differ from {whose} by {limit.threshold:g} bits (Jensen-Shannon); they differ by "
            f"{apart:.3g}, of which {chance:.2g} may be chance. Most different: {most}.",
            (apart, limit.threshold),
        )


def _named(counts: Mapping[str, int]) -> str:
    parts = [f"{described(character)} {count:,}×" for character, count in list(counts.items())[:_NAMED]]
    more = len(counts) - len(parts)
    return ", ".join(parts) + (f", and {more:,} more." if more else ".")


_CHECKS: Mapping[str, Callable[..., Iterator[Finding]]] = {
    "required_fields": lambda case, config: required_fields(case.split, case.schema),
    "field_domain": lambda case, config: field_domain(case.split, case.schema, config.max_share),
    "empty_documents": empty_documents,
    "document_length": document_length,
    "invalid_characters": invalid_characters,
    "unseen_characters": unseen_characters,
    "new_script": new_script,
    "script_drift": script_drift,
    "skew": skew,
    "drift": drift,
    "leaked_documents": leaked_documents,
}
