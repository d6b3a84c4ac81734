"""The rules that make a CDI spec valid (CDI library, ``pkg/cdi/spec.go``, ``device.go``, ``container-edits.go``).

Every function returns the library's error text, or None. Annotation keys are in effect not checked by the library.
"""

from __future__ import annotations

from nvsim.inject.cdi.library import NEWEST_LIBRARY, CdiLibrary
from nvsim.inject.cdi.spec import (
    KNOWN_VERSIONS,
    CdiDevice,
    CdiHook,
    CdiMount,
    CdiNode,
    CdiSpec,
    Edits,
    IntelRdt,
    NetDevice,
    minimum_version,
)
from nvsim.toolkit.cdi_name import class_error, device_name_error, parse_kind, vendor_error
from nvsim.toolkit.go_text import go_quote

HOOK_NAMES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def spec_error(spec: CdiSpec, library: CdiLibrary = NEWEST_LIBRARY) -> str | None:
    """Why `spec` is not valid. Raises `nvsim.inject.cdi.names.NamePanic` where the library crashes."""
    vendor, cls = parse_kind(spec.kind)
    old = not library.dotted_classes
    error = version_error(spec, library) or vendor_error(vendor, before_0_6=old) or class_error(cls, before_0_6=old)
    error = error or edits_error(spec.edits)
    if error:
        return error
    seen = set()
    for device in spec.devices:
        error = _device_error(device, library)
        if error:
            return f"failed add device {go_quote(device.name)}: {error}"
        if device.name in seen:
            return f"invalid spec, multiple device {go_quote(device.name)}"
        seen.add(device.name)
    return None if spec.devices or not library.needs_devices else "invalid spec, no devices"


def version_error(spec: CdiSpec, library: CdiLibrary = NEWEST_LIBRARY) -> str | None:
    """Whether the declared version is known and high enough. A leading "v" is accepted."""
    declared = spec.version.removeprefix("v")
    if declared not in KNOWN_VERSIONS or _ordinal(declared) > library.order:
        return f"invalid version {go_quote(spec.version)}"
    if not library.checks_minimum:
        return None
    least = minimum_version(spec)
    if _ordinal(least) > _ordinal(declared):
        return f"the spec version must be at least v{least}"
    return None


def _ordinal(version: str) -> tuple[int, ...]:
    return tuple(int(x) for x in version.split("."))


def _device_error(device: CdiDevice, library: CdiLibrary) -> str | None:
    error = device_name_error(device.name, digits=library.digit_names)
    if error:
        return error
    if device.edits.empty:
        return "invalid device, empty device edits"
    error = edits_error(device.edits)
    return f"invalid device {go_quote(device.name)}: {error}" if error else None


def edits_error(edits: Edits) -> str | None:
    """Why container edits are not valid."""
    error = _env_error(edits.env)
    if error:
        return f"invalid container edits: {error}"
    for node in edits.nodes:
        error = error or _node_error(node)
    for hook in edits.hooks:
        error = error or _hook_error(hook)
    for mount in edits.mounts:
        error = error or _mount_error(mount)
    if edits.rdt is not None:
        error = error or _rdt_error(edits.rdt)
    return error or _net_devices_error(edits.net_devices)


def _env_error(env: tuple[str, ...]) -> str | None:
    bad = next((v for v in env if v.find("=") <= 0), None)
    return None if bad is None else f"invalid environment variable {go_quote(bad)}"


def _node_error(node: CdiNode) -> str | None:
    if not node.path:
        return "invalid (empty) device path"
    if node.type not in ("", "b", "c", "u", "p"):
        return f"device {go_quote(node.path)}: invalid type {go_quote(node.type)}"
    if set(node.permissions) - set("rwm"):
        return f"device {go_quote(node.path)}: invalid permissions {go_quote(node.permissions)}"
    return None


def _hook_error(hook: CdiHook) -> str | None:
    if hook.name not in HOOK_NAMES:
        return f"invalid hook name {go_quote(hook.name)}"
    if not hook.path:
        return f"invalid hook {go_quote(hook.name)} with empty path"
    error = _env_error(hook.env)
    return f"invalid hook {go_quote(hook.name)}: {error}" if error else None


def _mount_error(mount: CdiMount) -> str | None:
    if not mount.host_path:
        return "invalid mount, empty host path"
    return None if mount.container_path else "invalid mount, empty container path"


def _rdt_error(rdt: IntelRdt) -> str | None:
    name = rdt.clos_id
    if name != "/" and (len(name.encode()) >= 4096 or name in (".", "..") or "/" in name or "\n" in name):
        return "invalid ClosID"
    return None


def _net_devices_error(devices: tuple[NetDevice, ...]) -> str | None:
    hosts: dict[str, str] = {}
    names: dict[str, str] = {}
    for device in devices:
        if not device.host_interface:
            return "invalid linux net device, empty HostInterfaceName"
        if not device.name:
            return "invalid linux net device, empty Name"
        if device.host_interface in hosts:
            return (
                f"invalid linux net device, duplicate HostInterfaceName {go_quote(device.host_interface)} "
                f"with names {go_quote(device.name)} and {go_quote(hosts[device.host_interface])}"
            )
        hosts[device.host_interface] = device.name
        if device.name in names:
            return (
                f"invalid linux net device, duplicate Name {go_quote(device.name)} "
                f"with HostInterfaceName {go_quote(device.host_interface)} and {go_quote(names[device.name])}"
            )
        names[device.name] = device.host_interface
    return None
