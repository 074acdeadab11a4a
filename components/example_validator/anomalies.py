"""One finding, as a sentence and as a tensorflow_metadata Anomalies message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tensorflow_metadata.proto.v0 import anomalies_pb2 as pb
from tensorflow_metadata.proto.v0 import schema_pb2


@dataclass(frozen=True)
class Anomaly:
    """Where a split is not what it has to be.

    Attributes:
        check: The key of `example_validator` that asked.
        split: Which split.
        feature: Which feature.
        type: Name of the AnomalyInfo.Type that comes closest.
        severity: `warn` or `stop`.
        short: A few words.
        sentence: All of it, with the numbers.
        measured: For skew and drift, the divergence and its threshold.
    """

    check: str
    split: str
    feature: str
    type: str
    severity: str
    short: str
    sentence: str
    measured: tuple[float, float] | None = None


def to_message(anomalies: Iterable[Anomaly], baseline: schema_pb2.Schema) -> pb.Anomalies:
    """The findings of one split as a message; a feature's findings have the keys `FEATURE: CHECK`.

    Args:
        anomalies: All of one split.
        baseline: The schema they were found against.
    """
    message = pb.Anomalies(baseline=baseline)
    for anomaly in anomalies:
        kind = pb.AnomalyInfo.Type.Value(anomaly.type)
        severity = pb.AnomalyInfo.ERROR if anomaly.severity == "stop" else pb.AnomalyInfo.WARNING
        info = message.anomaly_info[f"{anomaly.feature}: {anomaly.check}"]
        info.path.step.append(anomaly.feature)
        info.severity = max(info.severity, severity)
        info.reason.add(type=kind, short_description=anomaly.short, description=anomaly.sentence)
        several = len(info.reason) > 1
        info.short_description = "Multiple errors" if several else anomaly.short
        info.description = " ".join(reason.description for reason in info.reason)
        if anomaly.measured is not None:
            _add_measurement(message, anomaly.check, anomaly.feature, *anomaly.measured)
    return message


def _add_measurement(message: pb.Anomalies, check: str, feature: str, value: float, threshold: float) -> None:
    info = message.drift_skew_info.add()
    info.path.step.append(feature)
    measurements = info.skew_measurements if check == "skew" else info.drift_measurements
    kind = pb.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE
    measurements.add(type=kind, value=value, threshold=threshold)


def as_json(anomalies: Iterable[Anomaly]) -> list[Mapping[str, str]]:
    """The findings as the stage remembers them."""
    names = ("severity", "check", "split", "feature", "sentence")
    return [{name: getattr(anomaly, name) for name in names} for anomaly in anomalies]
