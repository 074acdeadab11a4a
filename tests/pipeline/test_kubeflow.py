"""The pipeline for a cluster: valid for Kubeflow, the same graph, and run as it is compiled by kfp's local runner."""

import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import ParseDict
from kfp import components, local
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig, PipelineSpec, PlatformSpec

from pipeline import graph
from pipeline.cli import main
from pipeline.code import SOURCE_ROOT
from pipeline.config_file import load_config
from pipeline.errors import UsageError
from pipeline.files import digest_folder
from pipeline.kubeflow import compile_pipeline

RECIPES = sorted((SOURCE_ROOT / "configs").glob("*.yaml"))
HELLO = SOURCE_ROOT / "configs" / "hello.yaml"
CLUSTER = [
    "kubeflow.claim=runs",
    "kubeflow.retries=3",
    "kubeflow.resources={trainer: {cpu: 7.5, memory: 16Gi, gpu: 2}, transform: {memory: 4Gi}}",
]
LAUNCHER = Path(__file__).with_name("launcher.py")


def compiled(folder: Path, *overrides: str, recipe: Path = HELLO) -> list[dict[str, Any]]:
    """Compiles a recipe and returns the documents of the YAML."""
    config = load_config(recipe, overrides)
    compile_pipeline(graph.stages(config), config, "registry/python-rnn:1", folder / "pipeline.yaml")
    return list(yaml.load_all((folder / "pipeline.yaml").read_text("utf-8"), yaml.CSafeLoader))


def executors(spec: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("exec-"): e["container"] for name, e in spec["deploymentSpec"]["executors"].items()}


def values_of(arguments: list[str], option: str) -> list[str]:
    return [value for name, value in itertools.pairwise(arguments) if name == option]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_compile_every_recipe_is_valid_and_hands_over_the_same_configuration(tmp_path: Path, recipe: Path) -> None:
    spec, platform = compiled(tmp_path, *CLUSTER, recipe=recipe)
    ParseDict(spec, PipelineSpec())  # raises at a field that the messages do not have, or of another type
    ParseDict(spec["deploymentSpec"], PipelineDeploymentConfig())
    ParseDict(platform, PlatformSpec())
    for executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        ParseDict(executor, KubernetesExecutorConfig())
    config = load_config(recipe).model_dump(exclude={"kubeflow"})
    for container in executors(spec).values():
        # What `stage` starts from is the default recipe: nothing of it may be left.
        read = load_config(SOURCE_ROOT / "configs" / "quickstart.yaml", values_of(container["args"], "--set"))
        assert read.model_dump(exclude={"kubeflow"}) == config


def test_compile_wires_each_input_to_the_stage_that_writes_it(tmp_path: Path) -> None:
    (spec,) = compiled(tmp_path, recipe=SOURCE_ROOT / "configs" / "tuning.yaml")
    stages = graph.stages()
    producers = graph.producers(stages)
    tasks = spec["root"]["dag"]["tasks"]
    assert len(tasks) == len(stages)
    for stage in stages:
        name = stage.stage_name()
        keys = set(stage.inputs)
        if stages.index(stage) > [s.stage_name() for s in stages].index("tuner"):
            keys.add("best_hyperparameters")
        task = tasks[name.replace("_", "-")]
        found = {
            key: (source["taskOutputArtifact"]["producerTask"], source["taskOutputArtifact"]["outputArtifactKey"])
            for key, source in task["inputs"].get("artifacts", {}).items()
        }
        assert found == {key: (producers[key].stage_name().replace("_", "-"), key) for key in keys}
        container = executors(spec)[name.replace("_", "-")]
        assert container["command"] == ["python3", "run_pipeline.py"]
        assert container["args"][:2] == ["stage", name]
        given = [f"{key}={{{{$.inputs.artifacts['{key}'].path}}}}" for key in keys]
        assert sorted(values_of(container["args"], "--input")) == sorted(given)
        written = [f"{key}={{{{$.outputs.artifacts['{key}'].path}}}}" for key in stage.outputs]
        assert values_of(container["args"], "--output") == written


def test_compile_nothing_runs_before_the_validator_has_let_the_corpus_pass(tmp_path: Path) -> None:
    (spec,) = compiled(tmp_path)
    tasks = spec["root"]["dag"]["tasks"]
    waiting = {name for name, task in tasks.items() if "example-validator" in task.get("dependentTasks", ())}
    assert waiting == set(tasks) - {"example-gen", "statistics-gen", "schema-gen", "example-validator"}


def test_compile_resources_retries_and_volume_are_those_of_the_configuration(tmp_path: Path) -> None:
    spec, platform = compiled(tmp_path, *CLUSTER)
    of = {name: container.get("resources", {}) for name, container in executors(spec).items()}
    trainer = of.pop("trainer")
    assert (trainer["resourceCpuRequest"], trainer["resourceCpuLimit"]) == ("7.5", "7.5")
    assert (trainer["resourceMemoryRequest"], trainer["resourceMemoryLimit"]) == ("16Gi", "16Gi")
    accelerator = trainer["accelerator"]
    assert (accelerator["resourceType"], accelerator["resourceCount"]) == ("nvidia.com/gpu", "2")
    assert of.pop("transform")["resourceMemoryLimit"] == "4Gi"
    assert not any(of.values())
    assert {task["retryPolicy"]["maxRetryCount"] for task in spec["root"]["dag"]["tasks"].values()} == {3}
    mounts = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert len(mounts) == len(spec["components"])
    assert {(m["constant"], m["mountPath"]) for e in mounts.values() for m in e["pvcMount"]} == {
        ("runs", "/mnt/pipeline")
    }
    assert spec["root"]["inputDefinitions"]["parameters"]["root"]["defaultValue"] == "/mnt/pipeline/runs/hello"


@pytest.mark.parametrize(
    ("override", "uncached"),
    [
        ("example_gen.source=inline:hello", set()),
        ("example_gen.source=text:/mnt/pipeline/*.txt", {"example-gen"}),
        ("schema_gen.schema_file=/mnt/pipeline/schema.pbtxt", {"schema-gen"}),
        ("evaluator.thresholds.nats.upper=9", set()),
        ("evaluator.thresholds.nats.change.relative=0.1", {"evaluator"}),
        ("evaluator.thresholds.nats.slices={length: {change: {absolute: 0.1}}}", {"evaluator"}),
    ],
)
def test_compile_caches_what_image_arguments_and_inputs_decide(
    tmp_path: Path, override: str, uncached: set[str]
) -> None:
    (spec,) = compiled(tmp_path, override)
    tasks = spec["root"]["dag"]["tasks"]
    found = {name for name, task in tasks.items() if not task["cachingOptions"].get("enableCache")}
    assert found == uncached | {"example-validator", "infra-validator", "pusher"}


def test_compile_changed_resources_change_no_command(tmp_path: Path) -> None:
    plain, cluster = (executors(compiled(tmp_path, *overrides)[0]) for overrides in ((), CLUSTER))
    assert [c["args"] for c in plain.values()] == [c["args"] for c in cluster.values()]


def test_compile_trains_on_the_backend_it_was_compiled_under(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    (spec,) = compiled(tmp_path)
    assert executors(spec)["trainer"]["env"] == [{"name": "KERAS_BACKEND", "value": "jax"}]


@pytest.mark.parametrize(
    ("overrides", "name", "text"),
    [
        (["kubeflow.resources={trianer: {gpu: 1}}"], "p.yaml", "'trianer'. Did you mean 'trainer'?"),
        ([], "p.txt", "--output must be a .yaml file in an existing folder. Received: "),
        ([], "none/p.yaml", "--output must be a .yaml file in an existing folder. Received: "),
        ([], "folder.yaml", "--output must be a .yaml file in an existing folder. Received: "),
        ([f"pipeline.name={'n' * 129}"], "p.yaml", "pipeline.name must have at most 128 characters. Received: 'nnn"),
    ],
)
def test_compile_what_cannot_be_is_refused(tmp_path: Path, overrides: list[str], name: str, text: str) -> None:
    config = load_config(HELLO, overrides)
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(UsageError, match=re.escape(text)):
        compile_pipeline(graph.stages(config), config, "python", tmp_path / name)


@pytest.mark.parametrize(
    "image", ["", " ", "-rm", "a b", "rnn:1\n", "rnn:\x1b[31m", "rnn:", "rnn::1", "/rnn", "rnn/", "Registry", "rnn@1"]
)
def test_compile_what_is_no_image_is_refused_and_nothing_is_written(tmp_path: Path, image: str) -> None:
    config = load_config(HELLO)
    with pytest.raises(UsageError, match=r"--image must be a container image. Received: "):
        compile_pipeline(graph.stages(config), config, image, tmp_path / "p.yaml")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "image",
    [
        "rnn",
        "localhost:5000/my_team/rnn--pipeline:1.0-gpu",
        "Europe-west4-docker.pkg.dev/project-1/rnn/rnn-pipeline:latest",
        "[::1]:5000/rnn@sha256:" + "0f" * 32,
    ],
)
def test_compile_takes_any_image(tmp_path: Path, image: str) -> None:
    config = load_config(HELLO)
    compile_pipeline(graph.stages(config), config, image, tmp_path / "p.yaml")
    (spec,) = yaml.load_all((tmp_path / "p.yaml").read_text("utf-8"), yaml.CSafeLoader)
    assert {container["image"] for container in executors(spec).values()} == {image}


def test_compile_takes_what_the_configuration_takes(tmp_path: Path) -> None:
    for cpu, told in ((0.001, "0.001"), (1, "1"), (9999.9, "9999.9"), (10000, "10000")):
        (spec,) = compiled(tmp_path, f"kubeflow.resources={{trainer: {{cpu: {cpu}, memory: 1Ti}}}}")
        assert executors(spec)["trainer"]["resources"]["resourceCpuLimit"] == told
    (spec,) = compiled(tmp_path, f"pipeline.name={'n' * 128}")
    assert spec["pipelineInfo"]["name"] == "n" * 128


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("kubeflow.resources={trainer: {memory: much}}", "memory must be a whole amount such as 512Mi or 16Gi"),
        ("kubeflow.resources={trainer: {memory: 1.5Gi}}", "kubeflow.resources.trainer.memory must be a whole amount"),
        ("kubeflow.resources={trainer: {memory: 0Gi}}", "kubeflow.resources.trainer.memory must be a whole amount"),
        ("kubeflow.resources={trainer: {cpu: 1e-5}}", "kubeflow.resources.trainer.cpu must be a number >= 0.001"),
        ("kubeflow.resources={trainer: {cpu: 1e7}}", "kubeflow.resources.trainer.cpu must be a number >= 0.001"),
        ("kubeflow.resources={trainer: {gpu: 1001}}", "kubeflow.resources.trainer.gpu must be an integer >= 0"),
        ("kubeflow.retries=101", "kubeflow.retries must be an integer >= 0 and <= 100"),
        ("kubeflow.resources={trainer: {gpus: 1}}", "kubeflow.resources.trainer.gpus is not a known key"),
        ("kubeflow.claim=My Disk", "kubeflow.claim must be the name of a PersistentVolumeClaim"),
        ("kubeflow.claim=a..b", "kubeflow.claim must be the name of a PersistentVolumeClaim"),
        ("kubeflow.claim=a.-b", "kubeflow.claim must be the name of a PersistentVolumeClaim"),
        (f"kubeflow.claim={'a' * 254}", "kubeflow.claim must be the name of a PersistentVolumeClaim"),
    ],
)
def test_load_config_bad_kubeflow_value_is_explained(override: str, text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(text)):
        load_config(HELLO, [override])


def test_main_compile_writes_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "hello.yaml"
    assert main(["compile", "--config", "hello", "--image", "registry/rnn:1", "--output", str(output)]) == 0
    assert capsys.readouterr().out == f"Wrote {output}.\n"
    assert executors(yaml.safe_load(output.read_text("utf-8")))["pusher"]["image"] == "registry/rnn:1"


def test_main_compile_without_kfp_says_how_to_install_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['kfp'] = None; from pipeline.cli import main; sys.exit(main(sys.argv[1:]))"
    line = ["compile", "--config", "hello", "--image", "i", "--output", str(tmp_path / "p.yaml")]
    done = subprocess.run(
        [sys.executable, "-c", code, *line], capture_output=True, text=True, check=False, cwd=SOURCE_ROOT
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "pip install 'rnn-pipeline[kubeflow]'" in done.stderr


def run_locally(folder: Path, *overrides: str) -> None:
    """Runs the compiled pipeline with kfp's subprocess runner; root and artifacts lie in the folder.

    The runner takes containers for what it cannot run, because it has no images. Their commands need nothing but
    this environment, and the launcher that a cluster would put before them.
    """
    (spec,) = compiled(folder, "kubeflow.retries=0", *overrides)
    for container in executors(spec).values():
        container["command"] = ["python3", str(LAUNCHER), "kfp.dsl.executor_main", "{{$}}", *container["command"]]
    (folder / "local.yaml").write_text(yaml.safe_dump(spec), "utf-8")
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "artifacts"), enable_caching=False)
    components.load_component_from_file(str(folder / "local.yaml"))(root=str(folder / "root"))


@pytest.mark.slow
def test_compiled_pipeline_runs_and_pushes_only_what_is_blessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(SOURCE_ROOT)  # an image's working directory
    run_locally(tmp_path)
    (run,) = (tmp_path / "artifacts").iterdir()
    root = tmp_path / "root"
    for stage in graph.stages(load_config(HELLO)):
        name = stage.stage_name()
        (execution,) = (root / name).iterdir()
        for key in stage.outputs:
            assert digest_folder(run / name.replace("_", "-") / key) == digest_folder(execution / key)
    pushed = root / "serving" / "hello"
    assert [path.name for path in pushed.iterdir()] == ["1"]
    capfd.readouterr()
    assert main(["sample", "--model", str(pushed), "--greedy"]) == 0
    assert capfd.readouterr().out == "hello\n"

    with pytest.raises(RuntimeError, match="pusher"):
        run_locally(tmp_path, "evaluator.thresholds.nats.upper=1e-6")
    told = capfd.readouterr().out
    assert "nats" in told
    assert [path.name for path in pushed.iterdir()] == ["1"]
