"""The section `kubeflow`: what the stages' pods get on a cluster."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt

from pipeline.section import Section

_NAME = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"


class ResourcesConfig(Section):
    """What the pod of one stage asks for, and may use at most; null leaves it to the cluster.

    cpu: Cores.
    memory: As Kubernetes writes it: `512Mi`, `16Gi`.
    gpu: Number of GPUs.
    """

    cpu: float | None = Field(default=None, gt=0)
    memory: str | None = Field(
        default=None, pattern=r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|K|M|G|T)$", description="an amount such as 512Mi or 16Gi"
    )
    gpu: NonNegativeInt = 0


class KubeflowConfig(Section):
    """How the stages run on a cluster. Only `compile` reads it, so no stage runs again for a change of it.

    claim: The PersistentVolumeClaim that every pod mounts as `/mnt/pipeline`; the root folder lies there. Null: each
        pod has a disk of its own, so that no checkpoint, accepted corpus or pushed version outlives it.
    gpu_type: What the cluster calls a GPU: `nvidia.com/gpu` on Kubernetes, `NVIDIA_L4` and the like on Vertex AI.
    retries: How often a stage that failed is tried again.
    resources: Name of a stage → what its pod gets.
    """

    claim: str | None = Field(default=None, pattern=_NAME, description="the name of a PersistentVolumeClaim, or null")
    gpu_type: str = Field(default="nvidia.com/gpu", min_length=1)
    retries: NonNegativeInt = 2
    resources: dict[str, ResourcesConfig] = Field(default_factory=dict)
