"""Naming an image: examples, tree files, configs, and what is said about things that are no image."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from nvsim.errors import InputError
from nvsim.host.datadir import data_dir
from nvsim.image.config import config_from_document, config_to_json
from nvsim.image.example import list_examples
from nvsim.image.model import ImageConfig
from nvsim.image.read import image_from_json, image_to_json, load_image
from nvsim.rootfs.node import File
from nvsim.rootfs.resolve import Resolved, resolve

DATA = data_dir()
EXAMPLES = list_examples(DATA)


def test_the_promised_examples_are_shipped() -> None:
    promised = {
        "nix-torch",
        "nix-torch-fixed",
        "debian12",
        "ubuntu2204",
        "cuda-12.2-base-ubuntu2204",
        "ubi9",
        "amazonlinux2",
    }
    assert promised | {"alpine", "distroless-base"} <= set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_read_back_from_its_expanded_form(name: str) -> None:
    image = load_image(f"example:{name}", DATA)
    once = image_to_json(image)
    assert image_to_json(image_from_json(json.loads(json.dumps(once)), image.name)) == once


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_command_of_an_example_exists_with_its_interpreter(name: str) -> None:
    image = load_image(f"example:{name}", DATA)
    command = (*image.config.entrypoint, *image.config.cmd)[0]
    path = command if "/" in command else f"/usr/local/bin/{command}"
    program = resolve(image.tree, path)
    assert isinstance(program, Resolved) and isinstance(program.node, File)
    elf = program.node.facts.elf
    assert elf is not None and elf.interp is not None
    loader = resolve(image.tree, elf.interp)
    assert isinstance(loader, Resolved) and isinstance(loader.node, File)
    assert loader.node.facts.loader is not None


@pytest.mark.parametrize("name", [n for n in EXAMPLES if n != "alpine"])
def test_a_glibc_example_has_the_libraries_that_the_driver_needs(name: str) -> None:
    image = load_image(f"example:{name}", DATA)
    names = {path.rpartition("/")[2] for path in image_to_json(image)["tree"]}
    assert {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"} <= names


def test_the_nix_image_is_a_store_and_nothing_else() -> None:
    image = load_image("example:nix-torch", DATA)
    assert set(image.tree.names("/")) == {"nix", "tmp"}
    env = dict(e.split("=", 1) for e in image.config.env)
    assert env["LD_LIBRARY_PATH"] == "/usr/lib/x86_64-linux-gnu"
    assert not [name for name in env if name.startswith("NVIDIA")]


def test_the_fixed_nix_image_differs_in_three_things() -> None:
    broken, fixed = load_image("example:nix-torch", DATA), load_image("example:nix-torch-fixed", DATA)
    theirs, ours = image_to_json(broken)["tree"], image_to_json(fixed)["tree"]
    assert {p for p, e in ours.items() if theirs.get(p) != e and e["type"] != "dir"} == {"/lib64/ld-linux-x86-64.so.2"}
    assert set(fixed.config.env) - set(broken.config.env) == {
        "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
        "LD_LIBRARY_PATH=/usr/lib64:/usr/lib/x86_64-linux-gnu",
    }
    assert (broken.config.entrypoint, broken.config.cmd) == (fixed.config.entrypoint, fixed.config.cmd)


@pytest.mark.parametrize(
    ("name", "marker", "cache"),
    [
        ("debian12", True, True),
        ("ubuntu2204", True, True),
        ("cuda-12.2-base-ubuntu2204", True, True),
        ("distroless-base", True, False),
        ("ubi9", False, True),
        ("amazonlinux2", False, True),
        ("alpine", False, False),
        ("nix-torch", False, False),
    ],
)
def test_what_decides_the_injection_is_as_in_the_real_image(name: str, marker: bool, cache: bool) -> None:
    tree = load_image(f"example:{name}", DATA).tree
    assert (tree.node("/etc/debian_version") is not None) is marker
    node = tree.node("/etc/ld.so.cache")
    assert (node is not None) is cache
    if isinstance(node, File):
        assert node.facts.ldcache is not None
        assert "libc.so.6" in {e.name for e in node.facts.ldcache.entries}


def test_an_unknown_example_is_answered_with_near_ones() -> None:
    with pytest.raises(InputError, match=r"unknown example image 'nix-troch' .did you mean nix-torch"):
        load_image("example:nix-troch", DATA)
    with pytest.raises(InputError, match=r"did you mean example:debian12\?"):
        load_image("debian12", DATA)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no image: the file is empty"),
        (b"hello\n", "is no image"),
        (b"\x7fELF" + bytes(60), "is no image: an ELF file"),
        (b"{}", "is no image: it names no format"),
        (b'{"format": "nvsim-host/1"}', "its format is 'nvsim-host/1'"),
        (b'{"format": "nvsim-tree/1"}', "lacks 'tree'"),
        (b'{"format": "nvsim-tree/1", "tree": {"/x": {"type": "pipe"}}}', "/x: unknown type 'pipe'"),
        (b'{"format": "nvsim-tree/1", "tree": {}, "config": {"Env": ["A"]}}', "Env: 'A' is no NAME=value"),
        (b'{"format": "nvsim-tree/1", "tree": {}, "platform": 3}', "platform: must be a string"),
        (b'{"format": "nvsim-tree/1", "tree": {}, "assumptions": "a"}', "assumptions: must be a list"),
        (b'{"format":\n tree}', "2:2: bad JSON"),
    ],
)
def test_what_is_no_image_is_told_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_image(str(path), DATA)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_image(str(tmp_path / "nowhere"), DATA)


def test_a_compressed_tree_file_is_an_image(tmp_path: Path) -> None:
    document = {
        "format": "nvsim-tree/1",
        "config": {"Env": ["A=1"], "Cmd": ["/bin/x"]},
        "tree": {"/bin": {"type": "symlink", "target": "usr/bin"}, "/bin/x": {"type": "file", "exit": 0}},
    }
    path = tmp_path / "tree.json.gz"
    path.write_bytes(gzip.compress(json.dumps(document).encode()))
    image = load_image(str(path), DATA)
    assert isinstance(image.tree.node("/usr/bin/x"), File)
    assert image.config == ImageConfig(env=("A=1",), cmd=("/bin/x",))


FIELDS: dict[str, Any] = {
    "Env": ["PATH=/bin", "X="],
    "Entrypoint": ["/app"],
    "Cmd": None,
    "WorkingDir": "/srv",
    "User": "1000:1000",
    "Labels": {"a": "b"},
    "ExposedPorts": {"80/tcp": {}},
}
WANTED = ImageConfig(("PATH=/bin", "X="), ("/app",), (), "/srv", "1000:1000", {"a": "b"})


@pytest.mark.parametrize(
    ("document", "platform"),
    [
        (FIELDS, None),
        ({"architecture": "amd64", "os": "linux", "config": FIELDS, "rootfs": {}}, "linux/amd64"),
        (
            [{"Id": "sha256:0", "Architecture": "arm64", "Os": "linux", "Variant": "v8", "Config": FIELDS}],
            "linux/arm64/v8",
        ),
    ],
)
def test_every_form_of_an_image_config_is_read(document: Any, platform: str | None) -> None:
    assert config_from_document(document, "c.json") == (WANTED, platform)


def test_a_config_goes_to_json_and_back() -> None:
    assert config_from_document(config_to_json(WANTED), "c") == (WANTED, None)


def test_a_given_config_replaces_the_images_own(tmp_path: Path) -> None:
    path = tmp_path / "inspect.json"
    path.write_text(json.dumps([{"Config": {"Env": ["B=2"]}}]))
    image = load_image("example:debian12", DATA, image_config=path)
    assert image.config == ImageConfig(env=("B=2",))
    path.write_text(json.dumps({"Env": "B=2"}))
    with pytest.raises(InputError, match="Env: must be a list of strings"):
        load_image("example:debian12", DATA, image_config=path)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"/a": {"type": "symlink"}}, "symlink needs 'target'"),
        ({"a": {"type": "dir"}}, "is not a canonical absolute path"),
    ],
)
def test_a_broken_entry_of_a_tree_file_is_told(entries: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        image_from_json({"format": "nvsim-tree/1", "tree": entries}, "x")
