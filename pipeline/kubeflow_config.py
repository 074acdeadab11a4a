"""The section `kubeflow`: what the stages' pods get on a cluster."""

from __future__ import annotations

from pydantic import Field

from pipeline.section import Section

_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_NAME = rf"^{_LABEL}(\.{_LABEL})*$"  # of a Kubernetes object: a subdomain as RFC 1123 has it


class ResourcesConfig(Section):
    """What the pod of one stage asks for, and may use at most; null leaves it to the cluster.

    cpu: Cores.
    memory: As Kubernetes writes it, a whole number and a unit: `512Mi`, `16Gi`.
    gpu: Number of GPUs.
    """

    cpu: float | None = Field(default=None, ge=0.001, le=10_000)
    # kfp takes no fractions.
    memory: str | None = Field(
        default=None,
        pattern="^[1-9][0-9]*(Ki|Mi|Gi|Ti|K|M|G|T)$",
        description="a whole amount such as 512Mi or 16Gi, or null",
    )
    gpu: int = Field(default=0, ge=0, le=1000)


class KubeflowConfig(Section):
    """How the stages run on a cluster. Only `compile` reads it, so no stage runs again for a change of it.

    claim: The PersistentVolumeClaim that every pod mounts as `/mnt/pipeline`; the root folder lies there. Null: each
        pod has a disk of its own, so that no checkpoint, accepted corpus or pushed version outlives it.
    gpu_type: What the cluster calls a GPU: `nvidia.com/gpu` on Kubernetes, `NVIDIA_L4` and the like on Vertex AI.
    retries: How often a stage that failed is tried again.
    resources: Name of a stage → what its pod gets.
    """

    claim: str | None = Field(
        default=None,
        pattern=_NAME,
        max_length=253,
        description="the name of a PersistentVolumeClaim (at most 253 of a-z, 0-9, '-' and '.'), or null",
    )
    gpu_type: str = Field(default="nvidia.com/gpu", min_length=1)
    retries: int = Field(default=2, ge=0, le=100)
    resources: dict[str, ResourcesConfig] = Field(default_factory=dict)
