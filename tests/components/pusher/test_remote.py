"""Versions on a file system of Beam: one in memory without folders, as object stores are, and Beam's local one."""

import io
import json
from typing import ClassVar

import pytest
from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem
from apache_beam.io.filesystems import FileSystems

from components.pusher.remote import RemoteVersions
from components.pusher.stage import Pusher
from pipeline.config import PipelineConfig, PusherConfig
from tests.components.pusher.models import FILES, content, write_model


class Store(FileSystem):
    """Objects under `pushtest://`; `LOG` has what was done, in order, and `FLIP` a name whose bytes are damaged."""

    OBJECTS: ClassVar[dict[str, bytes]] = {}
    LOG: ClassVar[list[str]] = []
    FLIP: ClassVar[list[str]] = []

    @classmethod
    def scheme(cls):
        return "pushtest"

    def _list(self, dir_or_prefix):
        for path, raw in self.OBJECTS.items():
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(raw))

    def create(self, path, mime_type="", compression_type="auto"):
        objects, log, flip = self.OBJECTS, self.LOG, self.FLIP

        class Upload(io.BytesIO):
            def close(self):
                if not self.closed:
                    damaged = any(path.endswith(name) for name in flip)
                    objects[path] = self.getvalue()[:-1] + b"!" if damaged else self.getvalue()
                    log.append(f"create {path}")
                super().close()

        return Upload()

    def open(self, path, mime_type="", compression_type="auto"):
        return io.BytesIO(self.OBJECTS[path])

    def delete(self, paths):
        for path in paths:
            if path not in self.OBJECTS:
                raise BeamIOError(path)
            self.LOG.append(f"delete {path}")
            del self.OBJECTS[path]

    def exists(self, path):
        return path in self.OBJECTS

    def has_dirs(self):
        return False

    def split(self, path):
        head, _, tail = path.rpartition("/")
        return head, tail

    def join(self, basepath, *paths):
        return "/".join([basepath, *paths])

    def metadata(self, path):
        return next(self._list(path))

    size = last_updated = checksum = copy = rename = mkdirs = None


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    for name, value in {"OBJECTS": {}, "LOG": [], "FLIP": []}.items():
        monkeypatch.setattr(Store, name, value)


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "exported_model")


def below(url):
    return {path.removeprefix(f"{url}/"): raw for path, raw in Store.OBJECTS.items() if path.startswith(f"{url}/")}


def test_remote_push_writes_every_file_and_the_graph_last(model):
    assert isinstance(FileSystems.get_filesystem("pushtest://box"), Store)  # guard
    versions = RemoteVersions("pushtest://box/tiny")

    assert versions.push(model) == 1
    assert below("pushtest://box/tiny/1") == FILES
    assert Store.LOG[-1] == "create pushtest://box/tiny/1/saved_model.pb"
    assert versions.numbers() == [1]


def test_remote_push_takes_a_number_that_nothing_lies_under(model):
    Store.OBJECTS["pushtest://box/tiny/9/variables/left-by-a-crash"] = b"x"
    Store.OBJECTS["pushtest://box/tiny/notes.txt"] = b"x"
    versions = RemoteVersions("pushtest://box/tiny")

    assert versions.numbers() == []
    assert versions.push(model) == 10
    assert versions.numbers() == [10]


def test_remote_push_number_is_larger_than_those_that_were_given(model):
    versions = RemoteVersions("pushtest://box/tiny")

    assert versions.push(model, after=4) == 5
    assert versions.push(model, after=4) == 6


@pytest.mark.parametrize("name", ["variables.index", "saved_model.pb"])
def test_remote_push_that_reads_back_differently_is_refused_and_removed(model, name):
    Store.FLIP.append(name)
    versions = RemoteVersions("pushtest://box/tiny")

    with pytest.raises(RuntimeError, match=f"{name}, which reads back differently"):
        versions.push(model)

    assert any(line.startswith("create") for line in Store.LOG)  # guard
    assert Store.OBJECTS == {}


def test_remote_remove_old_takes_the_graph_away_first(model):
    versions = RemoteVersions("pushtest://box/tiny")
    for _ in range(3):
        versions.push(model)
    Store.LOG.clear()
    versions.remove_old(1)

    assert versions.numbers() == [3]
    assert Store.LOG[0] == "delete pushtest://box/tiny/1/saved_model.pb"
    assert below("pushtest://box/tiny/1") == below("pushtest://box/tiny/2") == {}


def test_remote_versions_on_a_file_system_with_folders(model, tmp_path):
    versions = RemoteVersions(str(tmp_path / "served"))
    for _ in range(3):
        versions.push(model)
    versions.remove_old(2)

    assert versions.numbers() == [2, 3]
    assert content(tmp_path / "served" / "3") == FILES
    assert sorted(path.name for path in (tmp_path / "served").iterdir()) == ["2", "3"]


def test_pusher_with_a_url_pushes_there_and_knows_it_again(model, tmp_path):
    stage = Pusher(PipelineConfig(name="tiny"), PusherConfig(destination="pushtest://box/models/"))
    root = tmp_path / "root"
    output = root / "pusher" / "1" / "pushed_model"
    output.mkdir(parents=True)

    stage.push(model, output, root)

    assert below("pushtest://box/models/tiny/1") == FILES
    assert stage.reusable({"pushed_model": output}, root)
    again = root / "pusher" / "2" / "pushed_model"
    again.mkdir(parents=True)
    stage.push(model, again, root)
    assert stage.versions(root).numbers() == [1]
    del Store.OBJECTS["pushtest://box/models/tiny/1/saved_model.pb"]
    assert not stage.reusable({"pushed_model": output}, root)


@pytest.mark.parametrize(
    ("change", "numbers"),
    [
        (lambda objects, version: None, [1]),
        (lambda objects, version: objects.update({f"{version}/saved_model.pb": b"another"}), [1, 2]),
        (lambda objects, version: objects.update({f"{version}/extra": b"x"}), [1, 2]),
        (lambda objects, version: objects.pop(f"{version}/fingerprint.pb"), [1, 2]),
    ],
    ids=["whole", "another byte", "another file", "a file less"],
)
def test_pusher_killed_before_it_recorded_a_push_to_a_url_pushes_again_only_what_is_not_there(
    model, tmp_path, change, numbers
):
    stage = Pusher(PipelineConfig(name="tiny"), PusherConfig(destination="pushtest://box/models/"))
    RemoteVersions("pushtest://box/models/tiny").push(model)
    change(Store.OBJECTS, "pushtest://box/models/tiny/1")
    output = tmp_path / "root" / "pusher" / "1" / "pushed_model"
    output.mkdir(parents=True)

    stage.push(model, output, tmp_path / "root")

    assert stage.versions(tmp_path / "root").numbers() == numbers
    assert json.loads((output / "pushed.json").read_text("utf-8"))["version"] == numbers[-1]
