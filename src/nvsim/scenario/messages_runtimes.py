"""Low-level runtimes (runc, crun): how a release looks the program up, and what it says when a container cannot be created or executed.

One table by runtime and release. Measured on bundles and below engines: runc 1.0.0-rc93, 1.1.5, 1.1.15 and 1.3.6, crun 0.17, 1.8.1, 1.21 and 1.28;
where a text changed between them the release is read in the sources (runc ``libcontainer``, Go ``os/exec`` of the toolchain that a release is
built with, crun ``src/libcrun/utils.c`` and ``error.c``). What engines put around these texts is `nvsim.scenario.messages_engines`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from nvsim.frozen import evolve, frozen
from nvsim.toolkit.go_text import go_quote

Version = tuple[int, ...]
NEWEST: Version = (99,)
# runc's 1.0.0-rcN are written 0.99.N, so that releases can be compared as numbers.
RUNC_RC10: Version = (0, 99, 10)
RUNC_RC93: Version = (0, 99, 93)

_ERRNO = {
    "ENOENT": "no such file or directory",
    "EACCES": "permission denied",
    "ENOEXEC": "exec format error",
    "ENOTDIR": "not a directory",
    "ELOOP": "too many levels of symbolic links",
    "EISDIR": "is a directory",
    "ELIBBAD": "accessing a corrupted shared library",
    "EIO": "input/output error",
    "E2BIG": "argument list too long",
    "EINVAL": "invalid argument",
    "ENAMETOOLONG": "file name too long",
    "EPERM": "operation not permitted",
}


@frozen
class RuntimeTexts:
    """How a low-level runtime behaves from the release `since` on.

    The look-up. `access`: who must be allowed to execute: "bits" (somebody: the mode alone), "user" (the container's user) or "root" (crun
    looks before it changes the user). `then_user`: what is found is asked for again as the user, in the text of `exec_failed`. `sticky`:
    a candidate of PATH that is no program decides the error, though a later one is looked for. `relative`: what comes of a program that a
    relative entry of PATH leads to; `empty`: what an empty entry stands for, `no_entries`: whether an empty PATH has none.

    The texts, with {name} as typed, {path} as looked for and {error} in the runtime's spelling: `not_in_path`, `missing` (ENOENT of a name with a
    slash), `not_executable`, `directory` and `other` (any other errno). `exec_failed`, `exec_missing` (ENOENT) and `exec_status`: execve fails in
    the container that was created. `created`: what stands around the reason of every failed creation ({reason}); `in_look_up` and `in_init`: in
    front of a look-up's error and of a failure while the container is set up. `hook` ({kind}, {index}, {path}, {what}), `hook_exit` (what `what` is
    for one that ends with {status} after it wrote {stderr}), `no_source` ({source}, {target}): a bind mount's source is missing; `no_workdir` ({path}): the working directory is a file. `lower`:
    Go's spelling of errors. `json`: how the text is written where the engine asks for a JSON log: "" (only to the log), "line" or "pretty".
    """

    since: Version
    access: Literal["bits", "user", "root"]
    not_in_path: str
    missing: str
    not_executable: str
    directory: str
    other: str
    exec_failed: str
    exec_missing: str
    exec_status: int
    created: str
    hook: str
    hook_exit: str
    no_source: str
    no_workdir: str
    in_look_up: str = ""
    in_init: str = ""
    then_user: bool = False
    sticky: bool = False
    relative: Literal["run", "refused"] = "run"
    empty: str = "."
    no_entries: bool = True
    lower: bool = True
    quoted: bool = False
    json: Literal["", "line", "pretty"] = ""

    def error(self, errno: str) -> str:
        """The text of an errno as this runtime writes it."""
        text = _ERRNO.get(errno, errno.lower())
        return text if self.lower else text.capitalize()

    def reason(self, said: str) -> str:
        """`said` with what the runtime puts around the reason of a failed creation."""
        return self.created.format(reason=said.replace('"', '\\"') if self.quoted else said)

    def logged(self, message: str) -> str:
        """A message that goes to the container's stderr, as it looks below an engine that asks for a JSON log. Times are not known."""
        if not self.json:
            return message
        text = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        if self.json == "line":
            return f'{{"msg":"{text}","level":"error","time":"<time>"}}'
        slashes = text.replace("/", "\\/")
        return f'{{\n  "msg": "{slashes}",\n  "level": "error",\n  "time": "<time>"\n}}'


def _runc(
    since: Version,
    access: Literal["bits", "user"],
    execve: tuple[str, int],
    created: str,
    init: tuple[str, str],
    hook: tuple[str, str],
    no_source: str,
    *,
    directory: str = "is a directory",
    relative: Literal["run", "refused"] = "refused",
    then_user: bool = False,
    quoted: bool = False,
) -> RuntimeTexts:
    return RuntimeTexts(
        since,
        access,
        not_in_path='exec: "{name}": executable file not found in $PATH',
        missing='exec: "{name}": stat {name}: {error}',
        not_executable='exec: "{name}": permission denied',
        directory=f'exec: "{{name}}": {directory}',
        other='exec: "{name}": stat {name}: {error}',
        exec_failed=execve[0],
        exec_missing=execve[0],
        exec_status=execve[1],
        created=created,
        hook=hook[0],
        hook_exit=hook[1],
        no_source=no_source,
        no_workdir="mkdir {path}: not a directory",
        in_look_up=init[0],
        in_init=init[1],
        then_user=then_user,
        relative=relative,
        quoted=quoted,
    )


_UNABLE = "runc create failed: unable to start container process: {reason}"
_IN_INIT = "error during container init: "
_RAN = "error running hook: exit status {status}, stdout: , stderr: {stderr}"
_RUNC_HOOK = ("error running hook #{index}: {what}", _RAN)
_MOUNTING = 'error mounting "{source}" to rootfs at "{target}": stat {source}: no such file or directory'
_OLD_MOUNTING = (
    'rootfs_linux.go:76: mounting "{source}" to rootfs at "{target}" caused: stat {source}: no such file or directory'
)


def _crun(
    since: Version,
    not_executable: str,
    directory: str,
    missing: str,
    other: str,
    *,
    source: str,
    chdir: str = "chdir to",
    empty: str = "",
    no_entries: bool = True,
    json: Literal["line", "pretty"] = "line",
) -> RuntimeTexts:
    return RuntimeTexts(
        since,
        "root",
        not_in_path="executable file `{name}` not found in $PATH: No such file or directory",
        missing=missing,
        not_executable=not_executable,
        directory=directory,
        other=other,
        exec_failed="exec container process `{path}`: {error}",
        exec_missing="exec container process (missing dynamic library?) `{path}`: {error}",
        exec_status=1,
        created="{reason}",
        hook="error executing hook `{path}` (exit code: {status})",
        hook_exit="{status}",
        no_source=f"{source} `{{source}}`: No such file or directory",
        no_workdir=f"{chdir} `{{path}}`: Not a directory",
        sticky=True,
        empty=empty,
        no_entries=no_entries,
        lower=False,
        json=json,
    )


_OPEN = "open executable: {error}"
_OLD_CRUN = (
    "open executable: Permission denied",
    "open executable: Operation not permitted",
    "executable file `{name}` not found in $PATH: No such file or directory",
    _OPEN,
)
_NEW_CRUN = (
    "the path `{path}` exists but it is not executable: Operation not permitted",
    "the path `{path}` is not a regular file: Operation not permitted",
    "executable file `{path}` not found: No such file or directory",
)
RUNTIMES: Mapping[str, tuple[RuntimeTexts, ...]] = {
    "runc": (
        _runc(
            RUNC_RC10,
            "bits",
            ('standard_init_linux.go:211: exec user process caused "{error}"', 1),
            'container_linux.go:349: starting container process caused "{reason}"',
            ("", "process_linux.go:449: container init caused: "),
            ("process_linux.go:432: running {kind} hook {index} caused: {what}", _RAN),
            _OLD_MOUNTING.replace(":76", ":58"),
            directory="permission denied",
            relative="run",
            quoted=True,
        ),
        _runc(
            RUNC_RC93,
            "bits",
            ("standard_init_linux.go:228: exec user process caused: {error}", 1),
            "container_linux.go:380: starting container process caused: {reason}",
            ("", "process_linux.go:545: container init caused: "),
            ("Running hook #{index}:: {what}", _RAN),
            _OLD_MOUNTING,
            directory="permission denied",
            relative="run",
        ),
        _runc(
            (1, 1),
            "bits",
            ("exec {path}: {error}", 1),
            _UNABLE,
            ("", _IN_INIT),
            _RUNC_HOOK,
            _MOUNTING,
            directory="permission denied",
            relative="run",
            then_user=True,
        ),
        _runc((1, 1, 7), "user", ("exec {path}: {error}", 1), _UNABLE, ("", _IN_INIT), _RUNC_HOOK, _MOUNTING),
        _runc(
            (1, 2),
            "user",
            ("exec {path}: {error}", 255),
            _UNABLE,
            (_IN_INIT, _IN_INIT),
            (
                "error running {kind} hook #{index}: {what}",
                "exit status {status}, stdout: , stderr: {stderr}",
            ),
            "failed to fulfil mount request: open {source}: no such file or directory",
        ),
    ),
    "crun": (
        _crun((0,), *_OLD_CRUN, source="error stat'ing file", chdir="chdir"),
        _crun((1, 10), *_OLD_CRUN, source="cannot stat", chdir="chdir"),
        _crun((1, 15), *_OLD_CRUN, source="cannot stat"),
        _crun((1, 21), *_NEW_CRUN, "cannot open `{path}`: {error}", source="cannot stat", empty=".", no_entries=False),
        _crun((1, 22), *_NEW_CRUN, "open `{path}`: {error}", source="cannot stat", empty=".", no_entries=False),
        _crun(
            (1, 28),
            *_NEW_CRUN,
            "open `{path}`: {error}",
            source="cannot stat",
            empty=".",
            no_entries=False,
            json="pretty",
        ),
    ),
}
# What shells and wrappers do: execvp(3). Only the look-up counts here, their words are in `nvsim.scenario.messages_callers`.
EXECVP = "execvp"
_EXECVP = evolve(RUNTIMES["runc"][-1], relative="run", no_entries=False)
_NAMED = r"(runc|crun)(?:-v?(\d+(?:\.\d+)*))?"
# A failure while the container is set up, as `nvsim.inject.cdi.apply` tells it: runc 1.1's words.
_HOOK = r"(?s)error running hook #(\d+): (?:error running hook: exit status (\d+), stdout: , stderr: (.*)|(.*))"
_NO_SOURCE = r'error mounting "(.*)" to rootfs at "(.*)": stat .*: no such file or directory'


def runtime_texts(runtime: str, version: Version = NEWEST) -> RuntimeTexts:
    """The texts of a low-level runtime; one without a table speaks as runc."""
    if runtime == EXECVP:
        return _EXECVP
    rows = RUNTIMES.get(runtime, RUNTIMES["runc"])
    return [r for r in rows if version >= r.since or r is rows[0]][-1]


def runtime_named(text: str) -> tuple[str, Version] | None:
    """``runc`` or ``crun`` with or without ``-VERSION`` as (name, version); no version is `NEWEST`. None: another runtime's name."""
    named = re.fullmatch(_NAMED, text)
    if named is None:
        return None
    return named[1], tuple(int(p) for p in named[2].split(".")) if named[2] else NEWEST


def setup_failed(texts: RuntimeTexts, failure: str, kind: str = "createContainer", hook: str = "") -> str:
    """What the runtime says of `failure`, a mount, a device node or a hook (of the stage `kind`, its program `hook`) in runc 1.1's words.

    crun leaves out what the hook wrote, and writes a createContainer hook's failure as a line of its JSON log.
    """
    ran, source = re.fullmatch(_HOOK, failure), re.fullmatch(_NO_SOURCE, failure)
    if ran is not None:
        status = ran[2] or "1"
        what = texts.hook_exit.format(status=status, stderr=(ran[3] or "").rstrip()) if ran[2] else ran[4]
        said = texts.hook.format(kind=kind, index=ran[1], path=hook, what=what, status=status)
        return texts.logged(said) if texts.json and kind == "createContainer" else texts.in_init + said
    if source is not None:
        return texts.in_init + texts.no_source.format(source=source[1], target=source[2])
    return texts.in_init + failure


def as_logrus(message: str) -> str:
    """An error as runc writes it to its stderr without a JSON log."""
    return f'time="<time>" level=error msg={go_quote(message)}'
