"""What ``nvidia-ctk config`` and ``nvidia-ctk config default`` do on a host: what they print, the files that they write.

Source: toolkit ``cmd/nvidia-ctk/config``; Go's ``os.MkdirAll`` and ``os.Create``, which write in place and keep a file's mode.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from nvsim.frozen import frozen
from nvsim.rootfs.node import Directory, File, FileFacts, Origin, Special
from nvsim.rootfs.overlay import Editor, RootFS
from nvsim.rootfs.resolve import PathError, Resolved, resolve
from nvsim.toolkit.config import ConfigCrash, ConfigError, HostDefaults, host_defaults, load_error
from nvsim.toolkit.ctk.commands import CONFIG_DEFAULT, program_name, read_command_line
from nvsim.toolkit.ctk.config_toml import (
    SetError,
    Settings,
    apply_set,
    default_settings,
    read_settings,
    settings_text,
)
from nvsim.toolkit.ctk.model import Call, CliError, CliExit, NotModelled, Run
from nvsim.toolkit.go_strings import clean
from nvsim.toolkit.releases import Release

_ERRNO = {
    "ENOENT": "no such file or directory",
    "ENOTDIR": "not a directory",
    "EISDIR": "is a directory",
    "EEXIST": "file exists",
    "ELOOP": "too many levels of symbolic links",
    "ENAMETOOLONG": "file name too long",
}
_NULL = (1, 3)  # /dev/null


@frozen
class CtkRun:
    """A run: exit status, what was printed (`error`: what the program logged, "" = nothing), the root afterwards."""

    exit: int
    stdout: str
    stderr: str
    error: str
    rootfs: RootFS


class _Failure(Exception):  # noqa: N818 - a predicted failure of the real program
    """The command ends with this error."""


def run_nvidia_ctk(
    argv: Sequence[str], rootfs: RootFS, environ: Mapping[str, str], release: Release, *, cwd: str = "/", version: str
) -> CtkRun:
    """One run of ``nvidia-ctk config ...`` by root on a host; `version`: the text for ``--version``.

    Raises `NotModelled` for other commands, and for files whose text is not known. Go's stack traces are left out.
    """
    run = Run(program_name(argv), environ, version)
    work = _Work(rootfs.edit(), cwd, release)
    status, error, crash = 0, "", ""
    try:
        call = read_command_line(argv, run, release)
        if call is not None:
            run.out.append(work.do(call))
    except CliExit as e:
        status, crash = e.status, f"{e.message}\n"
    except ConfigCrash as e:
        status, crash = 2, str(e)
    except (CliError, _Failure) as e:
        status, error = 1, str(e)
    return CtkRun(status, "".join(run.out), "".join(run.err) + crash, error, work.files.freeze())


class _Work:
    """The host while the command works on it."""

    def __init__(self, files: Editor, cwd: str, release: Release):
        self.files = files
        self.cwd = cwd
        self.release = release

    def do(self, call: Call) -> str:
        """Do what was asked for; what goes to stdout."""
        default = call.action == CONFIG_DEFAULT
        path = "" if default else str(call.values["config-file"])
        settings = self._load(path)
        sets = call.values.get("set")
        for text in sets if isinstance(sets, tuple) else ():
            try:
                apply_set(settings, text, str(call.values.get("set-list-separator", "")), self.release)
            except SetError as e:
                raise _Failure(f"invalid --set option {text}: {e}") from None
        output = path if call.values.get("in-place") else str(call.values["output"])
        if output and (not default or self.release.config_default_makes_directory):
            self._make_directories((posixpath.dirname(output) and clean(posixpath.dirname(output))) or ".")
        place = self._create(output) if output else None
        text = settings_text(settings, self.release, suse=self._suse())
        if place is None:
            return "" if output else text
        old = self.files.node(place)
        mode = old.mode if isinstance(old, File) else 0o644
        content = FileFacts(text=text)
        self.files.put(place, File(len(text.encode("utf-8", "surrogatepass")), ("written", place), content, mode))
        return ""

    # ---- reading

    def _load(self, path: str) -> Settings:
        try:
            text = self._read(path) if path else None
            return (
                default_settings(self.release, self._defaults()) if text is None else read_settings(text, self.release)
            )
        except ConfigError as e:
            raise _Failure(f"unable to create config: {e.text}") from None

    def _read(self, path: str) -> str | None:
        """The text of the file, None where there is none. Raises `ConfigError`."""
        found = self._resolve(path)
        if isinstance(found, PathError):
            if found.errno == "ENOENT":
                return None
            raise ConfigError("load", f"failed to load specified config file: open {path}: {_ERRNO[found.errno]}")
        if isinstance(found.node, Directory):
            raise load_error(f"read {path}: {_ERRNO['EISDIR']}", self.release)
        return _text_of(found)

    def _defaults(self) -> HostDefaults:
        def exists(path: str) -> bool:
            return isinstance(self._resolve(path), Resolved)

        return host_defaults(exists, self._os_release())

    def _os_release(self) -> str | None:
        found = self._resolve("/etc/os-release")
        return _text_of(found) if isinstance(found, Resolved) and isinstance(found.node, File) else None

    def _suse(self) -> bool:
        return bool(self._defaults().user)

    def _resolve(self, path: str, *, follow: bool = True) -> Resolved | PathError:
        return resolve(self.files.freeze(), path, cwd=self.cwd, follow=follow)

    # ---- writing

    def _make_directories(self, path: str) -> None:
        """``os.MkdirAll``."""
        found = self._resolve(path)
        if isinstance(found, Resolved):
            if isinstance(found.node, Directory):
                return
            raise _Failure(f"failed to create output directory: mkdir {path}: {_ERRNO['ENOTDIR']}")
        above = posixpath.dirname(path)
        if above and above != path:
            self._make_directories(above)
        found = self._resolve(path, follow=False)
        if isinstance(found, Resolved):
            why = "EEXIST"
        elif found.errno == "ENOENT" and "/" not in found.rest:
            self.files.put(posixpath.join(found.parent, found.rest), Directory(origin=Origin("user", "nvidia-ctk")))
            return
        else:
            why = found.errno
        raise _Failure(f"failed to create output directory: mkdir {path}: {_ERRNO[why]}")

    def _create(self, path: str) -> str | None:
        """``os.Create``: the canonical path of the file, None for /dev/null."""
        last = posixpath.basename(path)
        found = self._resolve(path)
        errno = ""
        if last in ("", ".", ".."):
            errno = "EISDIR" if isinstance(found, Resolved) or found.errno == "ENOENT" else found.errno
        elif isinstance(found, PathError):
            if found.errno == "ENOENT" and "/" not in found.rest:
                return posixpath.join(found.parent, found.rest)
            errno = found.errno
        elif isinstance(found.node, Directory):
            errno = "EISDIR"
        elif isinstance(found.node, Special):
            _text_of(found)
            return None
        else:
            return found.path
        raise _Failure(f"failed to open output file: open {path}: {_ERRNO[errno]}")


def _text_of(found: Resolved) -> str:
    """The text of a file. Raises `NotModelled` where that is not known."""
    node = found.node
    if isinstance(node, File) and node.facts.text is not None:
        return node.facts.text
    if isinstance(node, Special) and node.kind == "char" and node.rdev == _NULL:
        return ""
    raise NotModelled(f"{found.path}, whose text is not known")
