"""The command line: what can be asked, how a request reaches the pipeline, and which exit code answers it."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import logging
import os
import re
import sqlite3
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pipeline import model_commands, rollback
from pipeline.completion import SHELLS, completed, script
from pipeline.errors import UsageError, did_you_mean
from pipeline.model_commands import folder

if TYPE_CHECKING:
    from pipeline.session import Listener
    from pipeline.summary import RunSummary

# Heavy modules (and pydantic) are imported by the commands that need them: `--help` answers at once.

RECIPES = Path(__file__).resolve().parents[1] / "configs"
DONE, STAGE_FAILED, BAD_USAGE, NOT_BLESSED = 0, 1, 2, 3
INTERRUPTED, BROKEN_PIPE = 130, 141  # what a shell reports for SIGINT and SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The arguments; `sys.argv[1:]` when None.

    Returns:
        The exit code: 0 done, 1 a stage (or a model) failed, 2 bad usage or config, 3 not blessed.
    """
    _quiet_environment()
    arguments = argparse.Namespace()
    try:
        _parser().parse_args(argv, arguments)
        if not arguments.debug:
            # Beam logs the traceback of an error that it then raises; one message is enough.
            logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
        code = int(arguments.command(arguments))
        sys.stdout.flush()
        return code
    except SystemExit as error:  # argparse, after --help
        return int(error.code or 0)
    except BrokenPipeError:
        # The reader (`head`) has seen enough. The interpreter must not fail on the rest when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return INTERRUPTED
    except Exception as error:
        return _report(error, getattr(arguments, "debug", False))


def _quiet_environment() -> None:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character of a text shows its escape, rather than ending the command.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _report(error: Exception, debug: bool) -> int:
    """Prints an error as one readable message and returns its exit code."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, sqlite3.DatabaseError):
        error = UsageError(f"The lineage store metadata.sqlite is damaged ({error}). Move it away to start anew.")
    # The messages of these are sentences; of others (KeyError: 'x') the name says more than the text.
    sentence = isinstance(error, ValueError | RuntimeError | ArithmeticError) and str(error)
    text = str(error) if sentence else f"{type(error).__name__}: {error}".removesuffix(": ")
    sys.stderr.write(f"error: {text}\n")
    return BAD_USAGE if isinstance(error, UsageError) else STAGE_FAILED


# ---- Commands -------------------------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    from pipeline import console, graph, runner
    from pipeline.config_file import load_config

    _check_backend()
    config_path = _recipe(arguments.config)
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
    start = functools.partial(_reported, functools.partial(start, config_path=str(config_path)), arguments.debug)
    summary = console.show_run(start, f"{config.pipeline.name}: {config_path} → {root}", arguments.json)
    if summary.exception is not None:
        return _report(summary.exception, arguments.debug)
    if arguments.one_stage and arguments.output and summary.stages[0].outputs:
        return DONE  # who is handed the outputs reads the refusal in them, as Pusher does
    return NOT_BLESSED if summary.status == "not_blessed" else DONE


def _reported(start: Callable[..., RunSummary], debug: bool, on_event: Listener) -> RunSummary:
    """Runs, and writes the report of the run. What goes wrong with that is told, and changes nothing of the run."""
    summary = start(on_event=on_event)
    try:
        from components.report.report import write_report

        return dataclasses.replace(summary, report=write_report(summary))
    except Exception as error:
        _report(RuntimeError(f"Report: it could not be written ({type(error).__name__}: {error})."), debug)
        return summary


def _init(arguments: argparse.Namespace) -> int:
    from pipeline import console, project

    console.show_project(*project.start(arguments.folder, arguments.texts))
    return DONE


def _completion(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from pipeline import console, graph

    recipes = sorted(file.stem for file in RECIPES.glob("*.yaml"))
    names = {"stages": [stage.stage_name() for stage in graph.stages()], "configs": recipes}
    console.say(script(parser, arguments.shell, names, files="configs"))
    return DONE


def _compile(arguments: argparse.Namespace) -> int:
    from pipeline import console, graph
    from pipeline.config_file import load_config
    from pipeline.kubeflow import compile_pipeline

    _check_backend()
    config = load_config(_recipe(arguments.config), arguments.set)
    compile_pipeline(graph.stages(config), config, arguments.image, arguments.output)
    console.say(f"Wrote {arguments.output}.")
    return DONE


def _check_backend() -> None:
    backend = os.environ["KERAS_BACKEND"]
    if backend not in ("tensorflow", "jax"):
        raise UsageError(
            f"The environment variable KERAS_BACKEND must be tensorflow or jax. Received: {backend!r}."
            f"{did_you_mean(backend, ('tensorflow', 'jax'))}"
        )


def _runs(arguments: argparse.Namespace) -> int:
    from pipeline import console

    if arguments.root is not None and not arguments.root.is_dir():
        raise UsageError(f"runs: --root must be an existing folder. Received: {str(arguments.root)!r}.")
    roots = [arguments.root] if arguments.root is not None else sorted(Path("runs").glob("*/"))
    console.show_runs(roots, arguments.json)
    return DONE


def _gc(arguments: argparse.Namespace) -> int:
    from pipeline import console
    from pipeline.collect import collect

    if arguments.keep < 1:
        raise UsageError(f"gc: --keep must be > 0. Received: {arguments.keep}.")
    garbage = collect(arguments.root, arguments.keep, arguments.delete)
    console.show_garbage(garbage, arguments.root.resolve(), arguments.delete, arguments.json)
    return DONE


def _lineage(arguments: argparse.Namespace) -> int:
    from pipeline import console, lineage_text
    from pipeline.lineage import trace

    traced = trace(arguments.path)
    if traced is None:
        raise UsageError(
            "lineage: PATH must be an artifact, <root>/<stage>/<number>/<key>, an execution or a pushed version. "
            f"Received: {str(arguments.path)!r}, which no execution made."
        )
    forms = {"json": lineage_text.as_json, "mermaid": lineage_text.as_mermaid, "text": lineage_text.as_text}
    console.say(forms[arguments.form](traced))
    return DONE


def _stages(arguments: argparse.Namespace) -> int:
    from pipeline import console, graph

    console.show_stages(graph.stages())
    return DONE


def _configs(arguments: argparse.Namespace) -> int:
    from pipeline import console

    console.show_recipes(sorted(RECIPES.glob("*.yaml")))
    return DONE


def _lab(arguments: argparse.Namespace) -> int:
    from components.lab import catalogue
    from pipeline import console

    if arguments.list:
        console.show_demonstrations(catalogue.STANDARD, catalogue.LONG)
        return DONE
    _check_backend()
    catalogue.check(arguments.names)
    if not 0 <= arguments.seed < 2**31:
        raise UsageError(f"lab: --seed must be >= 0 and below 2^31. Received: {arguments.seed}.")
    if arguments.output.exists() and not arguments.output.is_dir():
        raise UsageError(f"lab: --output must be a folder. Received: {str(arguments.output)!r}, a file.")
    from components.lab.run import run

    run(arguments.names, arguments.output, arguments.seed, console.say)
    return DONE


def _recipe(name: str) -> Path:
    """Returns the path itself, or the recipe of that name in configs/."""
    path = Path(name)
    if path.is_file() or "/" in name:
        return path
    recipe = RECIPES / f"{path.stem if path.suffix in ('.yaml', '.yml') else name}.yaml"
    if recipe.is_file() and not path.suffix:
        return recipe
    known = sorted(file.stem for file in RECIPES.glob("*.yaml"))
    raise UsageError(
        f"Config: --config must be a file, or the name of a recipe. Received: {name!r}."
        f"{did_you_mean(recipe.stem, known)} Recipes: {', '.join(known)}."
    )


def _key_path(text: str, option: str) -> tuple[str, Path]:
    key, equals, path = text.partition("=")
    if not (key and equals and path):
        raise UsageError(
            f"--{option} must be KEY=PATH. Received: {text!r}. Example: --{option} model=runs/hello/trainer/3/model"
        )
    return key, Path(path)


# ---- Parser ---------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """A parser whose mistakes are a `UsageError` with the nearest known name, instead of a usage page."""

    def error(self, message: str) -> NoReturn:
        choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        hint = did_you_mean(choice[1], re.findall(r"[\w-]+", choice[2])) if choice else ""
        raise UsageError(f"{self.prog}: {message}.{hint} See {self.prog} --help.")


def _parser() -> _Parser:
    parser = _Parser(
        prog="run_pipeline.py",
        description="Turns corpora into trained, validated, served recurrent networks.",
        epilog="Exit codes: 0 done; 1 a stage failed; 2 bad usage or config; 3 not blessed (nothing pushed).",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, function: object, text: str, *examples: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog="\n".join(["examples:", *(f"  {parser.prog} {example}" for example in examples)]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        added.set_defaults(command=function)
        added.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return added

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
    _add_config(run)
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
    _add_config(stage)
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
    _add_config(compile_)
    compile_.add_argument("--image", required=True, metavar="IMG", help="container image of the stages")
    compile_.add_argument("--output", required=True, type=Path, metavar="FILE", help="the YAML file to write")

    model_commands.add(command)
    rollback.add(command)

    runs = command(
        "runs", _runs, "List the runs of a root, or of every folder in runs/.", "runs", "runs --root runs/hello"
    )
    runs.add_argument("--root", type=folder, metavar="DIR", help="root folder (default: all of runs/*)")
    runs.add_argument("--json", action="store_true", help="print one JSON object")

    gc = command(
        "gc",
        _gc,
        "List what old executions of a root take up; with --delete, remove it.",
        "gc --root runs/hello",
        "gc --root runs/hello --keep 1 --delete",
    )
    gc.add_argument("--root", type=folder, required=True, metavar="DIR", help="root folder")
    gc.add_argument("--keep", type=int, default=3, metavar="N", help="newest executions of each stage (default: 3)")
    gc.add_argument("--delete", action="store_true", help="remove it, rather than list it")
    gc.add_argument("--json", action="store_true", help="print one JSON object")

    lineage = command(
        "lineage",
        _lineage,
        "Tell what made an artifact, back to the corpus, and what it was used in.",
        "lineage runs/hello/serving/hello/1",
        "lineage runs/hello/trainer/6/model --mermaid",
    )
    lineage.add_argument("path", type=folder, metavar="PATH", help="an artifact, an execution or a pushed version")
    form = lineage.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="print one JSON object")
    form.add_argument("--mermaid", dest="form", action="store_const", const="mermaid", help="print a graph for Mermaid")
    lineage.set_defaults(form="text")

    lab = command(
        "lab",
        _lab,
        "Measure and draw the lecture's demonstrations of gradients on the real layer.",
        "lab --list",
        "lab cliff truncation --output runs/lab",
    )
    lab.add_argument("names", nargs="*", metavar="NAME", help="which ones, see --list (default: all short ones)")
    lab.add_argument("--list", action="store_true", help="list the demonstrations and do nothing else")
    lab.add_argument("--output", type=folder, default=Path("runs/lab"), metavar="DIR", help="default: runs/lab")
    lab.add_argument("--seed", type=int, default=0, metavar="S", help="seed of everything drawn (default: 0)")

    command("stages", _stages, "List the stages: name, inputs → outputs, what each does.", "stages")
    command("configs", _configs, "List the recipes that --config knows by name.", "configs")

    text = "Print what makes a shell complete the commands, options and names of rnn-pipeline."
    completion = command(
        "completion", functools.partial(_completion, parser), text, "completion bash >> ~/.bashrc", "completion zsh"
    )
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash or zsh")
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    text = "YAML file or recipe (default: quickstart)"
    completed(parser.add_argument("--config", default="quickstart", metavar="F", help=text), "configs")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=VALUE", help="override a key (repeatable)")


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=folder, metavar="DIR", help="root folder (default: runs/<pipeline.name>)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
