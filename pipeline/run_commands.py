"""The commands that run the pipeline or prepare it: init, run, stage, compile."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from pipeline.commands import DONE, NOT_BLESSED, AddCommand, add_config, check_backend, folder, recipe, report, reported
from pipeline.completion import completed
from pipeline.errors import UsageError


def add(command: AddCommand) -> None:
    """Adds the commands to the parser."""
    init = command(
        "init",
        _init,
        "Start a project: write a configuration that fits the size of your own texts.",
        "init novels ~/texts",
        "init letters 'letters/*.txt'",
    )
    init.add_argument("folder", type=folder, metavar="DIR", help="folder to make; its name is the pipeline's")
    init.add_argument("texts", metavar="TEXTS", help="a UTF-8 file, a folder of .txt files, or a glob in quotes")

    run = command(
        "run",
        _run,
        "Run the pipeline; what is unchanged since an earlier run is not done again.",
        "run",
        "run --config hello",
        "run --config novels/config.yaml --set model.units=256 --set trainer.epochs=4",
        "run --config hello --from trainer --explain",
    )
    add_config(run)
    _add_root(run)
    from_stage = "first stage to run; earlier outputs are reused"
    completed(run.add_argument("--from", dest="from_stage", metavar="S", help=from_stage), "stages")
    completed(run.add_argument("--to", dest="to_stage", metavar="S", help="last stage to run"), "stages")
    no_cache = "run S even if unchanged (repeatable)"
    force = run.add_argument("--force", "--no-cache", action="append", default=[], metavar="S", help=no_cache)
    completed(force, "stages")
    run.add_argument("--explain", action="store_true", help="say why each stage would run or not, and run nothing")
    run.set_defaults(one_stage=False)

    stage = command(
        "stage",
        _run,
        "Run one stage; inputs that are not given are the newest ones in the root.",
        "stage evaluator --config hello",
        "stage evaluator --config hello --input model=runs/hello/trainer/6/model",
    )
    completed(stage.add_argument("name", metavar="NAME", help="a name from the command `stages`"), "stages")
    add_config(stage)
    _add_root(stage)
    stage.add_argument("--input", action="append", default=[], metavar="KEY=PATH", help="an input folder (repeatable)")
    stage.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="KEY=PATH",
        help="a folder for a copy of an output (repeatable)",
    )
    stage.set_defaults(one_stage=True)

    compile_ = command(
        "compile",
        _compile,
        "Write the pipeline for Kubeflow Pipelines 2 and Vertex AI (docs/cluster.md).",
        "compile --config quickstart --image registry/rnn-pipeline:1 --output pipeline.yaml",
    )
    add_config(compile_)
    compile_.add_argument("--image", required=True, metavar="IMG", help="container image of the stages")
    compile_.add_argument("--output", required=True, type=Path, metavar="FILE", help="the YAML file to write")


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=folder, metavar="DIR", help="root folder (default: runs/<pipeline.name>)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")


def _init(arguments: argparse.Namespace) -> int:
    from pipeline import console, project

    console.show_project(*project.start(arguments.folder, arguments.texts))
    return DONE


def _run(arguments: argparse.Namespace) -> int:
    from pipeline import console, graph, runner
    from pipeline.config_file import load_config

    check_backend()
    config_path = recipe(arguments.config)
    config = load_config(config_path, arguments.set)
    root = arguments.root or Path("runs") / config.pipeline.name
    named = [arguments.name] if arguments.one_stage else [arguments.from_stage, arguments.to_stage, *arguments.force]
    if "tuner" in named and config.tuner is None:
        raise UsageError(f"tuner: the configuration must have a section `tuner`. Received: {config_path}, without one.")
    what = (graph.stages(config), config, root)
    if not arguments.one_stage and arguments.explain:
        chosen = {"from_stage": arguments.from_stage, "to_stage": arguments.to_stage, "force": arguments.force}
        console.show_explanations(runner.explain(*what, **chosen), arguments.json)
        return DONE
    if arguments.one_stage:
        inputs, outputs = (
            dict(_key_path(text, option) for text in getattr(arguments, option)) for option in ("input", "output")
        )
        start = functools.partial(runner.run_stage, *what, name=arguments.name, inputs=inputs, outputs=outputs)
    else:
        start = functools.partial(
            runner.run, *what, from_stage=arguments.from_stage, to_stage=arguments.to_stage, force=arguments.force
        )
    start = functools.partial(reported, functools.partial(start, config_path=str(config_path)), arguments.debug)
    summary = console.show_run(start, f"{config.pipeline.name}: {config_path} → {root}", arguments.json)
    if summary.exception is not None:
        return report(summary.exception, arguments.debug)
    if arguments.one_stage and arguments.output and summary.stages[0].outputs:
        return DONE  # who is handed the outputs reads the refusal in them, as Pusher does
    return NOT_BLESSED if summary.status == "not_blessed" else DONE


def _compile(arguments: argparse.Namespace) -> int:
    from pipeline import console, graph
    from pipeline.config_file import load_config
    from pipeline.kubeflow import compile_pipeline

    check_backend()
    config = load_config(recipe(arguments.config), arguments.set)
    compile_pipeline(graph.stages(config), config, arguments.image, arguments.output)
    console.say(f"Wrote {arguments.output}.")
    return DONE


def _key_path(text: str, option: str) -> tuple[str, Path]:
    key, equals, path = text.partition("=")
    if not (key and equals and path):
        raise UsageError(
            f"--{option} must be KEY=PATH. Received: {text!r}. Example: --{option} model=runs/hello/trainer/3/model"
        )
    return key, Path(path)
