"""The Beam pass of ExampleGen: an element is a group of pieces of files, never a document."""

from __future__ import annotations

import dataclasses

import apache_beam as beam

from components.beam_run import Meter
from components.example_gen.groups import Group, Job
from components.example_gen.staging import stage_group


@dataclasses.dataclass(eq=False)
class StageGroups(beam.PTransform):
    """Groups → what was found in each, in a folder of its own.

    Attributes:
        job: How to read them.
        meter: Counts what is done.
    """

    job: Job
    meter: Meter

    def expand(self, groups: beam.PCollection[Group]) -> beam.PCollection[None]:
        return (
            groups
            | "Spread groups" >> beam.Reshuffle()
            | "Stage groups" >> beam.Map(stage_group, self.job, self.meter.add).with_output_types(type(None))
        )
