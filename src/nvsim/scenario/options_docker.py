"""The values of ``docker run`` options, refused with Docker's own words where Docker refuses them.

Each function takes the text of one option as the user typed it. Sources: docker/cli ``opts/*.go`` and
``cli/command/container/opts.go``; moby ``volume/mounts/linux_parser.go``, ``daemon/daemon_unix.go``, ``oci/caps``; containerd
``platforms``. What the options mean together is `nvsim.scenario.options`; what an engine makes of them `nvsim.scenario.engine`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from posixpath import isabs, normpath

from nvsim.errors import InputError
from nvsim.scenario.model import Volume
from nvsim.toolkit.go_strings import parse_bool

_DAEMON = "docker: Error response from daemon: "
_MODES = {
    "ro": "rw",
    "rw": "rw",
    "z": "label",
    "Z": "label",
    "nocopy": "copy",
    "consistent": "consistency",
    "cached": "consistency",
    "delegated": "consistency",
    **dict.fromkeys(("private", "rprivate", "slave", "rslave", "shared", "rshared"), "propagation"),
}
_MOUNT_FLAGS = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive")
_MOUNT_KEYS = (
    *_MOUNT_FLAGS,
    "type",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "consistency",
    "bind-propagation",
    "bind-recursive",
    "bind-create-src",
    "volume-label",
    "volume-driver",
    "volume-opt",
    "volume-subpath",
    "tmpfs-size",
    "tmpfs-mode",
    "image-subpath",
)
_VOLUME_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z"
CAPABILITIES = frozenset(
    (
        "CAP_AUDIT_CONTROL",
        "CAP_AUDIT_READ",
        "CAP_AUDIT_WRITE",
        "CAP_BLOCK_SUSPEND",
        "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE",
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_IPC_LOCK",
        "CAP_IPC_OWNER",
        "CAP_KILL",
        "CAP_LEASE",
        "CAP_LINUX_IMMUTABLE",
        "CAP_MAC_ADMIN",
        "CAP_MAC_OVERRIDE",
        "CAP_MKNOD",
        "CAP_NET_ADMIN",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_BROADCAST",
        "CAP_NET_RAW",
        "CAP_PERFMON",
        "CAP_SETFCAP",
        "CAP_SETGID",
        "CAP_SETPCAP",
        "CAP_SETUID",
        "CAP_SYSLOG",
        "CAP_SYS_ADMIN",
        "CAP_SYS_BOOT",
        "CAP_SYS_CHROOT",
        "CAP_SYS_MODULE",
        "CAP_SYS_NICE",
        "CAP_SYS_PACCT",
        "CAP_SYS_PTRACE",
        "CAP_SYS_RAWIO",
        "CAP_SYS_RESOURCE",
        "CAP_SYS_TIME",
        "CAP_SYS_TTY_CONFIG",
        "CAP_WAKE_ALARM",
    )
)
_SYSTEMS = ("linux", "windows", "darwin", "freebsd")
_MACHINES = {
    "amd64": "amd64",
    "x86_64": "amd64",
    "x86-64": "amd64",
    "arm64": "arm64",
    "aarch64": "arm64",
    "386": "386",
    "i386": "386",
    "arm": "arm",
    "riscv64": "riscv64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
}


def invalid_argument(value: str, flag: str, why: str) -> InputError:
    """The docker command's words for an option value that it cannot parse (pflag)."""
    return InputError(f'docker: invalid argument "{value}" for "{flag}" flag: {why}')


def boolean(text: str, flag: str) -> bool:
    """A flag's value, ``--privileged=false`` (Go's ``strconv.ParseBool``)."""
    read = parse_bool(text)
    if read is None:
        raise invalid_argument(text, flag, f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return read


def env_item(text: str) -> str:
    """``-e``: NAME=value, or NAME alone, which takes the variable out of the image's environment (``opts.ValidateEnv``)."""
    if not text.partition("=")[0]:
        raise invalid_argument(text, "-e, --env", f"invalid environment variable: {text}")
    return text


def env_file(text: str, name: str, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The variables of an ``--env-file`` (docker/cli ``opts.ParseEnvFile``): comments and blank lines skipped, no quoting.

    A name alone takes the value of the caller's `environment`, and is passed over where it is not set there.
    """
    items = []
    for line in text.removeprefix("\ufeff").splitlines():
        line = line.lstrip()
        if not line or line.startswith("#"):
            continue
        variable, eq, _ = line.partition("=")
        if not variable:
            raise InputError(f"docker: invalid env file ({name}): no variable name on line '{line}'")
        if any(c.isspace() for c in variable):
            raise InputError(f"docker: invalid env file ({name}): variable '{variable}' contains whitespaces")
        if eq:
            items.append(line)
        elif variable in (environment or {}):
            items.append(f"{variable}={(environment or {})[variable]}")
    return tuple(items)


def gpus(text: str) -> str:
    """``--gpus``, checked as the docker command does (``opts/gpus.go``); the text itself is kept."""
    fields = _csv(text, "--gpus")
    seen = set()
    for item in fields:
        key, eq, value = item.partition("=")
        if key in seen:
            raise invalid_argument(text, "--gpus", f"gpu request key '{key}' can be specified only once")
        seen.add(key)
        if not eq or key == "count":
            count = value if eq else key
            if count != "all" and not re.fullmatch(r"[+-]?[0-9]+", count):
                why = f'invalid count ({count}): value must be either "all" or an integer: invalid syntax'
                raise invalid_argument(text, "--gpus", why)
            seen.add("count")
        elif key not in ("driver", "device", "capabilities", "options"):
            raise invalid_argument(text, "--gpus", f"unexpected key '{key}' in '{item}'")
    return text


def _csv(text: str, flag: str) -> list[str]:
    import csv

    try:
        fields = next(csv.reader([text], strict=True), [])
    except csv.Error as e:
        raise invalid_argument(text, flag, f"parse error on line 1: {e}") from None
    if not fields:
        raise invalid_argument(text, flag, "EOF")
    return fields


def is_cdi_name(text: str) -> bool:
    """Whether a device is a qualified CDI name, VENDOR/CLASS=NAME."""
    kind, eq, name = text.partition("=")
    return bool(eq and name) and "/" in kind and not kind.startswith("/")


def device(text: str) -> str:
    """``--device``: a CDI name, or HOST-PATH[:CONTAINER-PATH][:rwm]."""
    if is_cdi_name(text):
        return text
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise InputError(f"docker: bad format for path: {text}")
    if len(parts) == 3 and not _device_mode(parts[2]):
        raise InputError(f"docker: bad mode specified: {parts[2]}")
    inside = parts[0] if len(parts) == 1 or (len(parts) == 2 and _device_mode(parts[1])) else parts[1]
    if not isabs(inside):
        raise InputError(f"docker: {inside} is not an absolute path")
    return text


def _device_mode(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def volume(text: str) -> Volume:
    """``-v``: [HOST-PATH|NAME:]PATH[:MODE]."""
    parts = text.split(":")
    wrong = f"{_DAEMON}invalid volume specification: '{text}'"
    if not parts[0] or len(parts) > 3 or (len(parts) == 2 and _mount_mode(parts[1])):
        raise InputError(wrong)
    if len(parts) == 3 and not _mount_mode(parts[2]):
        raise InputError(f"{_DAEMON}invalid mode: {parts[2]}")
    src, dst = ("", parts[0]) if len(parts) == 1 else parts[:2]
    readonly = len(parts) == 3 and "ro" in parts[2].split(",")
    kind = "bind" if isabs(src) else "volume"
    if src.startswith("."):
        hint = "a relative path is one of the machine that runs docker: give an absolute path of the host profile"
        raise InputError(f"-v {text}: {src} is relative", hint=hint)
    if kind == "volume" and src and not re.match(_VOLUME_NAME, src):
        why = f'create {src}: "{src}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. '
        raise InputError(f"{_DAEMON}{why}If you intended to pass a host directory, use absolute path")
    _check_target(dst, f'{wrong}: invalid mount config for type "{kind}": ')
    return Volume(normpath(src) if kind == "bind" else src, normpath(dst), readonly, kind)


def _mount_mode(text: str) -> bool:
    kinds = [_MODES.get(word) for word in text.split(",")]
    return bool(text) and None not in kinds and len(set(kinds)) == len(kinds)


def _check_target(path: str, prefix: str) -> None:
    if not path:
        raise InputError(f"{prefix}field Target must not be empty")
    if normpath(path) == "/":
        raise InputError(f"{prefix}invalid specification: destination can't be '/'")
    if not isabs(path):
        raise InputError(f"{prefix}invalid mount path: '{path}' mount path must be absolute")


def mount(text: str) -> Volume:
    """``--mount``: comma-separated KEY=VALUE pairs."""
    values: dict[str, str] = {}
    for item in _csv(text, "--mount"):
        key, eq, value = item.partition("=")
        if not eq and key not in _MOUNT_FLAGS:
            raise invalid_argument(text, "--mount", f"invalid field '{item}' must be a key=value pair")
        if key not in _MOUNT_KEYS:
            raise invalid_argument(text, "--mount", f"unexpected key '{key}' in '{item}'")
        if key in _MOUNT_FLAGS and eq and parse_bool(value) is None:
            raise invalid_argument(text, "--mount", f"invalid value for {key}: {value}")
        name = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}.get(key, key)
        values[name] = value if eq else "true"
    kind = values.get("type", "volume").lower()
    src, dst = values.get("source", ""), values.get("target", "")
    if not kind:
        raise invalid_argument(text, "--mount", "type is required")
    if not dst:
        raise invalid_argument(text, "--mount", "target is required")
    for family in ("volume", "bind", "tmpfs"):
        if kind != family and any(k.startswith(f"{family}-") for k in values):
            raise invalid_argument(text, "--mount", f"cannot mix '{family}-*' options with mount type '{kind}'")
    prefix = f'{_DAEMON}invalid mount config for type "{kind}": '
    if kind not in ("bind", "volume", "tmpfs"):
        raise InputError(f"{prefix}mount type unknown")
    _check_target(dst, prefix)
    if kind == "bind" and not src:
        raise InputError(f"{prefix}field Source must not be empty")
    if kind == "bind" and not isabs(src):
        raise InputError(f"{prefix}invalid mount path: '{src}' mount path must be absolute")
    if kind == "tmpfs" and src:
        raise InputError(f"{prefix}field Source must not be specified")
    readonly = parse_bool(values.get("readonly")) is True
    if kind == "volume" and readonly and not src:
        raise InputError(f"{prefix}must not set ReadOnly mode when using anonymous volumes")
    return Volume(normpath(src) if kind == "bind" else src, normpath(dst), readonly, kind)


def tmpfs(text: str) -> Volume:
    """``--tmpfs``: PATH[:OPTIONS]."""
    path, _, words = text.partition(":")
    prefix = f"{_DAEMON}invalid tmpfs mount '{path}': "
    _check_target(path, prefix)
    return Volume("", normpath(path), "ro" in words.split(","), "tmpfs")


def capability(text: str, option: str) -> str:
    """``--cap-add`` or ``--cap-drop``: a capability's full name, or ALL."""
    name = text.upper()
    if name == "ALL":
        return name
    name = name if name.startswith("CAP_") else f"CAP_{name}"
    if name not in CAPABILITIES:
        field = "CapAdd" if option == "--cap-add" else "CapDrop"
        raise InputError(f'{_DAEMON}invalid {field}: unknown capability: "{name}"')
    return name


def security_opt(text: str) -> str:
    """``--security-opt``: KEY=VALUE (or KEY:VALUE), no-new-privileges, writable-cgroups, disable."""
    if text in ("no-new-privileges", "writable-cgroups", "disable"):
        return text
    key, sep, value = text.partition("=") if "=" in text else text.partition(":")
    if not sep or not value:
        raise InputError(f'docker: invalid --security-opt: "{text}"')
    known = ("label", "apparmor", "seccomp", "no-new-privileges", "systempaths", "writable-cgroups")
    switch = key in ("no-new-privileges", "writable-cgroups")
    if key not in known or (switch and parse_bool(value) is None):
        raise InputError(f'{_DAEMON}invalid --security-opt 2: "{text}"')
    return text


def workdir(text: str) -> str:
    """``-w``: an absolute path."""
    if not isabs(text):
        raise InputError(f"{_DAEMON}the working directory '{text}' is invalid, it needs to be an absolute path")
    return normpath(text)


def platform(text: str) -> str:
    """``--platform``: OS/ARCH[/VARIANT], OS or ARCH, normalised (containerd ``platforms.Parse``)."""
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(re.fullmatch(r"[a-z0-9_.-]+", p) for p in parts):
        raise InputError(f'{_DAEMON}"{text}": cannot parse platform specifier: invalid argument')
    if len(parts) == 1:
        if parts[0] in _SYSTEMS:
            return f"{parts[0]}/amd64"
        if parts[0] not in _MACHINES:
            raise InputError(f'{_DAEMON}"{text}": unknown operating system or architecture: invalid argument')
        return f"linux/{_MACHINES[parts[0]]}"
    return "/".join([parts[0], _MACHINES.get(parts[1], parts[1]), *parts[2:]])
