"""Images as archives: what a container engine would unpack is what the tree holds, and hostile archives do no harm."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elfwriter import write_elf
from imagewriter import Member, config, directory, docker_save, hardlink, layer, oci, sha256, symlink
from nvsim.elf.store import FactsStore
from nvsim.errors import InputError, NvsimError
from nvsim.image import layer as layers_module
from nvsim.image.model import Image
from nvsim.image.read import image_to_json, load_image
from nvsim.rootfs.node import Directory, File, Special
from nvsim.rootfs.tree import Tree, walk
from nvsim.scenario.read import scenario_from_json
from nvsim.scenario.sources import Sources

DATA = Path("/nowhere")
FIELDS = {"Env": ["A=1"], "Cmd": ["/bin/app"], "WorkingDir": "/srv", "User": "7", "Labels": {"k": "v"}}
LIBC = write_elf(soname="libc.so.6", verdef=("GLIBC_2.34",))
APP = write_elf(needed=("libc.so.6",), interp="/lib64/ld-linux-x86-64.so.2")
LAYERS = [
    layer([directory("usr/lib"), symlink("lib", "usr/lib"), Member("usr/lib/libc.so.6", LIBC), Member("etc/x", b"1")]),
    layer([Member("bin/app", APP, mode=0o755), hardlink("bin/same", "bin/app"), Member("etc/.wh.x")]),
]


def save(tmp_path: Path, data: bytes, name: str = "image.tar") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


def of_layers(tmp_path: Path, *layers: bytes) -> Tree:
    return load_image(save(tmp_path, docker_save({"t": (layers, config(layers, {}))})), DATA).tree


def paths(tree: Tree) -> list[str]:
    return [path for path, node in walk(tree) if not isinstance(node, Directory)]


def layout(tmp_path: Path, **more: Any) -> str:
    return str(oci([("latest", None, LAYERS, config(LAYERS, FIELDS))], **more).write(tmp_path / "oci"))


FORMS: dict[str, Callable[[Path], str]] = {
    "docker save": lambda p: save(p, docker_save({"app:1": (LAYERS, config(LAYERS, FIELDS))})),
    "docker save, gzip": lambda p: save(p, gzip.compress(docker_save({"app:1": (LAYERS, config(LAYERS, FIELDS))}))),
    "docker save, tag": lambda p: save(p, docker_save({"app:1": (LAYERS, config(LAYERS, FIELDS))})) + ":1",
    "docker-archive:": lambda p: "docker-archive:" + FORMS["docker save"](p),
    "oci:": lambda p: "oci:" + layout(p),
    "oci: tag": lambda p: "oci:" + layout(p) + ":latest",
    "oci directory": layout,
    "oci, plain layers": lambda p: layout(p, compress=bytes),
    "oci, xz layers": lambda p: layout(p, compress=lzma.compress),
    "oci, bzip2 layers": lambda p: layout(p, compress=bz2.compress),
    "oci archive": lambda p: save(p, oci([(None, None, LAYERS, config(LAYERS, FIELDS))]).archive()),
    "oci archive, xz": lambda p: save(p, lzma.compress(oci([(None, None, LAYERS, config(LAYERS, FIELDS))]).archive())),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_archive_gives_the_same_image(tmp_path: Path, form: str) -> None:
    image = load_image(FORMS[form](tmp_path), DATA)
    assert paths(image.tree) == ["/bin/app", "/bin/same", "/lib", "/usr/lib/libc.so.6"]
    app, libc = image.tree.node("/bin/app"), image.tree.node("/usr/lib/libc.so.6")
    assert isinstance(app, File) and isinstance(libc, File)
    assert app.facts.elf is not None and app.facts.elf.needed == ("libc.so.6",)
    assert libc.facts.elf is not None and libc.facts.elf.verdef == ("GLIBC_2.34",)
    assert app.origin.detail == f"layer 2 of 2 (sha256:{sha256(LAYERS[1])[:12]})"
    assert libc.origin.detail.startswith("layer 1 of 2")
    same = image.tree.node("/bin/same")
    assert isinstance(same, File) and same.inode == app.inode != libc.inode
    assert (image.config.env, image.config.cmd, image.config.user) == (("A=1",), ("/bin/app",), "7")
    assert (image.config.working_dir, image.config.labels, image.platform) == ("/srv", {"k": "v"}, "linux/amd64")


def test_a_bare_root_file_system_is_an_image_and_says_so(tmp_path: Path) -> None:
    image = load_image(save(tmp_path, gzip.compress(LAYERS[0])), DATA)
    assert paths(image.tree) == ["/etc/x", "/lib", "/usr/lib/libc.so.6"]
    assert "root file system" in image.assumptions[0]
    with pytest.raises(InputError, match="is no image"):
        load_image(save(tmp_path, layer([Member("readme", b"x")])), DATA)


def test_whiteouts_remove_only_what_lies_below(tmp_path: Path) -> None:
    below = layer([Member("a/x", b"1"), Member("a/y", b"1"), Member("b/x", b"1"), Member("c/d/e", b"1")])
    above = layer([Member("a/.wh.x"), Member("a/x", b"22"), Member("b/.wh..wh..opq"), Member("b/n", b"1"), Member(".wh.c"), Member("z/.wh.no"), Member(".wh..wh.aufs")])  # fmt: skip
    tree = of_layers(tmp_path, below, above)
    assert paths(tree) == ["/a/x", "/a/y", "/b/n"]
    node = tree.node("/a/x")
    assert isinstance(node, File) and node.size == 2


def test_an_opaque_directory_keeps_what_came_before_it_in_its_own_layer(tmp_path: Path) -> None:
    tree = of_layers(tmp_path, layer([Member("b/old", b"1")]), layer([Member("b/n", b"1"), Member("b/.wh..wh..opq")]))
    assert paths(tree) == ["/b/n"]


def test_files_replace_directories_and_directories_files(tmp_path: Path) -> None:
    tree = of_layers(tmp_path, layer([Member("a/x", b"1"), Member("b", b"1")]), layer([Member("a", b"1"), directory("b"), Member("b/y", b"")]))  # fmt: skip
    assert paths(tree) == ["/a", "/b/y"]


def test_an_entry_below_a_file_is_named_with_that_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r":/a/b/c: lies below /a, which is no directory$"):
        of_layers(tmp_path, layer([Member("a", b"1"), Member("a/b/c", b"1")]))


def test_a_directory_again_changes_its_mode_and_keeps_its_files(tmp_path: Path) -> None:
    tree = of_layers(tmp_path, layer([directory("a"), Member("a/x", b"1")]), layer([directory("a", 0o700)]))
    node = tree.node("/a")
    assert isinstance(node, Directory) and node.mode == 0o700
    assert paths(tree) == ["/a/x"]


def test_files_below_a_link_of_a_lower_layer_land_where_it_leads(tmp_path: Path) -> None:
    tree = of_layers(tmp_path, LAYERS[0], layer([Member("lib/liby.so", LIBC), Member("lib/.wh.libc.so.6")]))
    assert paths(tree) == ["/etc/x", "/lib", "/usr/lib/liby.so"]


def test_hard_links_reach_into_lower_layers(tmp_path: Path) -> None:
    tree = of_layers(tmp_path, LAYERS[0], layer([hardlink("usr/lib/libc.so", "lib/libc.so.6")]))
    one, two = tree.node("/usr/lib/libc.so"), tree.node("/usr/lib/libc.so.6")
    assert isinstance(one, File) and isinstance(two, File) and one.inode == two.inode
    with pytest.raises(InputError, match="hard link of /no, which is no file"):
        of_layers(tmp_path, layer([hardlink("x", "no")]))


def test_device_nodes_and_pipes_are_told(tmp_path: Path) -> None:
    tree = of_layers(tmp_path, layer([Member("dev/n", kind=tarfile.CHRTYPE, device=(195, 255)), Member("p", kind=tarfile.FIFOTYPE)]))  # fmt: skip
    node = tree.node("/dev/n")
    assert isinstance(node, Special) and (node.kind, node.rdev) == ("char", (195, 255))
    assert isinstance(tree.node("/p"), Special)


def test_texts_that_are_not_indexed_are_read_when_asked_for(tmp_path: Path) -> None:
    tree = of_layers(tmp_path, layer([Member("app/main.py", b"import torch\n"), Member("app/run", b"#!/bin/sh\n"), Member("app/data", b"\0\1")]))  # fmt: skip
    texts = {}
    for path in ("/app/main.py", "/app/run", "/app/data"):
        node = tree.node(path)
        assert isinstance(node, File)
        texts[path] = node.facts.text
    assert texts == {"/app/main.py": "import torch\n", "/app/run": "#!/bin/sh\n", "/app/data": None}


def test_a_text_has_the_same_content_under_all_its_names(tmp_path: Path) -> None:
    tree = of_layers(tmp_path, layer([Member("app/a.py", b"import torch\n"), hardlink("app/b.py", "app/a.py")]))
    node = tree.node("/app/b.py")
    assert isinstance(node, File) and node.facts.text == "import torch\n"


@pytest.mark.parametrize("limit", [100, 1 << 20])
def test_symbols_of_binaries_are_read_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(layers_module, "_IN_MEMORY", limit)
    tree = of_layers(tmp_path, layer([Member("lib/libs.so", write_elf(soname="libs.so", defs=frozenset({"there"})))]))
    node = tree.node("/lib/libs.so")
    assert isinstance(node, File) and node.facts.elf is not None and node.facts.symbols is not None
    assert node.facts.elf.defs is None
    read = node.facts.symbols()
    assert read is not None and read.defs == {"there"}


def test_an_archive_that_changes_before_a_text_is_read_is_an_error(tmp_path: Path) -> None:
    tree = of_layers(tmp_path, layer([Member("app/main.py", b"import torch\n")]))
    (tmp_path / "image.tar").write_bytes(VALID)
    node = tree.node("/app/main.py")
    assert isinstance(node, File)
    with pytest.raises(InputError, match=r"image\.tar: changed while it was read"):
        assert node.facts


def test_large_binaries_are_read_without_holding_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers_module, "_IN_MEMORY", 100)
    node = of_layers(tmp_path, *LAYERS).node("/usr/lib/libc.so.6")
    assert isinstance(node, File) and node.facts.elf is not None and node.facts.elf.soname == "libc.so.6"


# ---- choosing ------------------------------------------------------------------------------------------------------------


def marked(text: str, platform: str = "linux/amd64") -> tuple[list[bytes], bytes]:
    one = [layer([Member(f"etc/{text}", b"")])]
    return one, config(one, {}, platform)


def test_a_tag_chooses_among_images(tmp_path: Path) -> None:
    spec = save(tmp_path, docker_save({"app:one": marked("one"), "app:two": marked("two")}))
    assert paths(load_image(f"{spec}:two", DATA).tree) == ["/etc/two"]
    assert paths(load_image(f"{spec}:one", DATA).tree) == ["/etc/one"]
    assert paths(load_image(f"{spec}:app:two", DATA).tree) == ["/etc/two"]
    slashed = save(tmp_path, docker_save({"docker.io/a/b:1": marked("one")}), "slashed.tar")
    assert paths(load_image(f"{slashed}:docker.io/a/b:1", DATA).tree) == ["/etc/one"]
    with pytest.raises(InputError, match=r"holds 2 images .add one of its tags"):
        load_image(spec, DATA)
    with pytest.raises(InputError, match=r"no image tagged 'tow' .it has app:one, app:two"):
        load_image(f"{spec}:tow", DATA)


def test_a_platform_chooses_among_manifests(tmp_path: Path) -> None:
    images = [("t", p, *marked(p.partition("/")[2], p)) for p in ("linux/arm64", "linux/amd64", "unknown/unknown")]
    spec = f"oci:{oci(images).write(tmp_path)}"
    assert paths(load_image(spec, DATA).tree) == ["/etc/amd64"]
    arm = load_image(spec, DATA, platform="linux/arm64")
    assert (paths(arm.tree), arm.platform) == (["/etc/arm64"], "linux/arm64")
    with pytest.raises(InputError, match=r"no image for linux/s390x .it has linux/amd64, linux/arm64"):
        load_image(spec, DATA, platform="linux/s390x")


# ---- the cache -----------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_a_cached_image_equals_a_fresh_one(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    names = st.sampled_from(["a", "a/b", "a/b/c", "l", "l/x", "etc/ld.so.conf"])
    contents = st.sampled_from([b"", b"text", b"#!/bin/sh\n", b"\0bin", LIBC, APP[:80]])
    member = st.one_of(
        st.builds(Member, names, contents),
        st.builds(directory, names),
        st.builds(symlink, names, st.sampled_from(["a", "/a/b", "nowhere"])),
        st.builds(lambda n: Member(n.rpartition("/")[0] + "/.wh." + n.rpartition("/")[2]), names),
    )
    made = [layer(one) for one in data.draw(st.lists(st.lists(member, max_size=5), min_size=1, max_size=3))]
    folder = tmp_path_factory.mktemp("i")
    spec = save(folder, docker_save({"t": (made, config(made, {}))}))

    def loaded(store: FactsStore | None) -> Any:
        try:
            image = load_image(spec, DATA, store=store)
        except InputError as e:
            return str(e)
        return image_to_json(image), [(p, n.origin) for p, n in walk(image.tree)]

    fresh = loaded(None)
    for _ in range(2):  # cold, warm
        with FactsStore(folder / "cache") as store:
            assert loaded(store) == fresh


def test_known_layers_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = save(tmp_path, docker_save({"t": (LAYERS, config(LAYERS, {}))}))
    with FactsStore(tmp_path / "cache") as store:
        first = image_to_json(load_image(spec, DATA, store=store))
    monkeypatch.setattr(layers_module, "_read", None)
    assert image_to_json(load_image(spec, DATA, store=FactsStore(tmp_path / "cache"))) == first


def test_a_layer_that_is_not_what_its_config_says_is_refused_and_not_kept(tmp_path: Path) -> None:
    other = layer([Member("etc/evil", b"")])
    spec = save(tmp_path, docker_save({"t": ([other], config([LAYERS[0]], {}))}))
    with pytest.raises(InputError, match="is damaged: its content is sha256:"):
        load_image(spec, DATA, store=FactsStore(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


# ---- hostile archives ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/../etc/passwd", "./../x"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="a path outside of the image"):
        of_layers(tmp_path, layer([Member(name, b"x")]))


def test_odd_names_stay_inside(tmp_path: Path) -> None:
    tree = of_layers(tmp_path, layer([Member("/abs", b"1"), Member("./a//b/../c", b"1"), symlink("out", "../../../etc"), Member("out/passwd", b"1")]))  # fmt: skip
    assert paths(tree) == ["/a/c", "/abs", "/etc/passwd", "/out"]


def test_loops_of_links_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too many levels of symbolic links"):
        of_layers(tmp_path, layer([symlink("a", "b"), symlink("b", "a"), Member("a/x", b"")]))


def test_a_file_that_claims_to_be_huge_is_refused_or_opaque(tmp_path: Path) -> None:
    info = tarfile.TarInfo("etc/huge")
    info.size = 1 << 60
    head = info.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(InputError, match="is a broken archive"):
        of_layers(tmp_path, head + bytes(1024))


def test_a_sparse_file_is_not_expanded(tmp_path: Path) -> None:
    info = tarfile.TarInfo("etc/sparse")
    info.size = 3
    info.pax_headers = {"GNU.sparse.map": "0,3", "GNU.sparse.size": str(1 << 50), "GNU.sparse.numblocks": "1"}
    raw = layer([directory("etc")])[:512] + info.tobuf(tarfile.PAX_FORMAT) + b"\x7fEL" + bytes(509) + bytes(1024)
    node = of_layers(tmp_path, raw).node("/etc/sparse")
    assert isinstance(node, File) and node.facts.elf is None and node.facts.text is None


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nvsim.image.stream._FREE", 1 << 20)
    bomb = gzip.compress(layer([Member("etc/zeros", bytes(8 << 20))]))
    images = [(None, None, [gzip.decompress(bomb)], config([gzip.decompress(bomb)], {}))]
    with pytest.raises(InputError, match="expands to more than 200 times its size"):
        load_image(f"oci:{oci(images).write(tmp_path / 'o')}", DATA)
    with pytest.raises(InputError, match="expands to more than 200 times its size"):
        load_image(save(tmp_path, gzip.compress(docker_save({"t": marked("x")}) + bytes(8 << 20))), DATA)


def test_a_header_that_wants_memory_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 32
    with pytest.raises(InputError, match="a header of 4294967296 bytes"):
        of_layers(tmp_path, info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))


def test_a_size_below_zero_ends_the_reading(tmp_path: Path) -> None:
    info = tarfile.TarInfo("etc/x")
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    raw[124:136] = b"\xff" * 8 + (-1024).to_bytes(4, "big", signed=True)
    raw[148:156] = b"        "
    raw[148:156] = f"{sum(raw[:512]):06o}\0 ".encode()
    with pytest.raises(InputError, match="is a broken archive"):
        of_layers(tmp_path, bytes(raw) + bytes(2048))


@pytest.mark.parametrize(
    "digest", ["sha256:../../../etc/passwd", "sha256:" + "0" * 63, "md5:0", "../x", 3, None, "sha256:" + "A" * 64]
)
def test_a_digest_that_is_none_names_no_file(tmp_path: Path, digest: object) -> None:
    folder = oci([(None, None, *marked("x"))]).write(tmp_path)
    (folder / "index.json").write_text(json.dumps({"manifests": [{"digest": digest}]}))
    with pytest.raises(InputError, match="is no sha256 digest"):
        load_image(f"oci:{folder}", DATA)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (b"[]", "names no image with Config and Layers"),
        (b"{", "bad JSON"),
        (b'[{"Config": "c", "Layers": ["l"]}]', "lacks c"),
        (b'[{"Config": 1, "Layers": ["l"]}]', "names no image"),
    ],
)
def test_a_broken_manifest_is_told_in_one_line(tmp_path: Path, manifest: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_image(save(tmp_path, layer([Member("manifest.json", manifest)])), DATA)


def test_an_index_of_itself_ends(tmp_path: Path) -> None:
    inner = json.dumps({"manifests": []}).encode()
    for _ in range(6):
        (tmp_path / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"blobs/sha256/{sha256(inner)}").write_bytes(inner)
        inner = json.dumps({"manifests": [{"digest": f"sha256:{sha256(inner)}"}]}).encode()
    (tmp_path / "index.json").write_bytes(inner)
    (tmp_path / "oci-layout").write_text("{}")
    with pytest.raises(InputError, match="nested too deeply"):
        load_image(f"oci:{tmp_path}", DATA)


VALID = docker_save({"t": (LAYERS, config(LAYERS, FIELDS))})


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_gives_an_image_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    raw = bytearray(VALID)
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=8)):
        raw[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw))) :]
    packed = gzip.compress(raw) if data.draw(st.booleans()) else bytes(raw)
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(packed)
    try:
        image = load_image(str(path), DATA)
        assert isinstance(image, Image)
        for _, node in walk(image.tree):
            assert not isinstance(node, File) or node.facts is not None
    except NvsimError as e:
        assert "\n" not in str(e)


def test_zstd_is_read_or_refused_by_name(tmp_path: Path) -> None:
    try:
        from compression.zstd import compress  # type: ignore[import-not-found]
    except ImportError:
        try:
            from zstandard import compress  # type: ignore[import-not-found]
        except ImportError:
            spec = layout(tmp_path, compress=lambda _: b"\x28\xb5\x2f\xfd" + bytes(60))
            with pytest.raises(NvsimError, match="compressed with zstd, which needs"):
                load_image(spec, DATA)
            return
    assert len(paths(load_image(layout(tmp_path, compress=compress), DATA).tree)) == 4


def test_the_platform_of_a_scenario_chooses_the_image(tmp_path: Path) -> None:
    images = [("t", p, *marked(p.partition("/")[2], p)) for p in ("linux/arm64", "linux/amd64")]
    query = {"host": "eks-al2-535", "image": f"oci:{oci(images).write(tmp_path)}", "argv": ["/x"]}
    sources = Sources()
    assert scenario_from_json(query, sources).image.platform == "linux/amd64"
    assert scenario_from_json({**query, "platform": "arm64"}, sources).image.platform == "linux/arm64"
    with pytest.raises(InputError, match=r"no image for linux/s390x"):
        scenario_from_json({**query, "platform": "linux/s390x"}, sources)
