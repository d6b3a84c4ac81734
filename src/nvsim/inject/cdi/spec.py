"""CDI specs as values, their JSON form, and the lowest CDI version that a spec needs.

Fields and omission of empty ones follow the CDI library (``specs-go/config.go``, ``specs-go/version.go``, CDI 1.1.0). Reading text
with the library's errors is `nvsim.inject.cdi.load`; the validation rules are `nvsim.inject.cdi.validate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nvsim.frozen import evolve, field, frozen
from nvsim.toolkit.request import Because

CURRENT_VERSION = "1.1.0"
KNOWN_VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0")
EARLIEST_VERSION = "0.3.0"

Reasons = tuple[Because, ...]


@frozen
class CdiNode:
    """A device node. `file_mode` holds permission bits; None where the spec does not say."""

    path: str
    host_path: str = ""
    type: str = ""
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None
    because: Reasons = field(default=(), eq=False)


@frozen
class CdiMount:
    host_path: str
    container_path: str
    options: tuple[str, ...] = ()
    type: str = ""
    because: Reasons = field(default=(), eq=False)


@frozen
class CdiHook:
    """A hook. `name` is the OCI stage ("createContainer"); `args` starts with the program's own name."""

    name: str
    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None
    because: Reasons = field(default=(), eq=False)


@frozen
class NetDevice:
    host_interface: str
    name: str


@frozen
class IntelRdt:
    """`schemata` None = absent; an empty list counts as present."""

    clos_id: str = ""
    l3_cache_schema: str = ""
    mem_bw_schema: str = ""
    schemata: tuple[str, ...] | None = None
    enable_monitoring: bool = False


@frozen
class Edits:
    """Container edits, in order."""

    env: tuple[str, ...] = ()
    nodes: tuple[CdiNode, ...] = ()
    net_devices: tuple[NetDevice, ...] = ()
    hooks: tuple[CdiHook, ...] = ()
    mounts: tuple[CdiMount, ...] = ()
    rdt: IntelRdt | None = None
    gids: tuple[int, ...] = ()

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            self.env + other.env,
            self.nodes + other.nodes,
            self.net_devices + other.net_devices,
            self.hooks + other.hooks,
            self.mounts + other.mounts,
            self.rdt if other.rdt is None else other.rdt,
            self.gids + other.gids,
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to edit (such a device is invalid)."""
        return self == Edits()


@frozen
class CdiDevice:
    name: str
    edits: Edits = Edits()
    annotations: Mapping[str, str] = field(factory=dict, hash=False)


@frozen
class CdiSpec:
    version: str
    kind: str
    devices: tuple[CdiDevice, ...] = ()
    edits: Edits = Edits()
    annotations: Mapping[str, str] = field(factory=dict, hash=False)

    def all_edits(self) -> Iterator[Edits]:
        """The edits of every device, then the common ones."""
        for device in self.devices:
            yield device.edits
        yield self.edits


def spec_to_json(spec: CdiSpec) -> dict[str, Any]:
    """The JSON object of a spec; keys in the library's order, absent where it leaves them out."""
    out: dict[str, Any] = {"cdiVersion": spec.version, "kind": spec.kind}
    if spec.annotations:
        out["annotations"] = dict(sorted(spec.annotations.items()))
    out["devices"] = [_device_to_json(d) for d in spec.devices]
    out["containerEdits"] = edits_to_json(spec.edits)
    return out


def _device_to_json(device: CdiDevice) -> dict[str, Any]:
    out: dict[str, Any] = {"name": device.name}
    if device.annotations:
        out["annotations"] = dict(sorted(device.annotations.items()))
    out["containerEdits"] = edits_to_json(device.edits)
    return out


def edits_to_json(edits: Edits) -> dict[str, Any]:
    """The JSON object of container edits."""
    return _without_empty(
        {
            "env": list(edits.env),
            "deviceNodes": [_node_to_json(n) for n in edits.nodes],
            "netDevices": [{"hostInterfaceName": n.host_interface, "name": n.name} for n in edits.net_devices],
            "hooks": [_hook_to_json(h) for h in edits.hooks],
            "mounts": [_mount_to_json(m) for m in edits.mounts],
            "intelRdt": None if edits.rdt is None else _rdt_to_json(edits.rdt),
            "additionalGids": list(edits.gids),
        }
    )


def _without_empty(data: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in data.items() if v is not None and (v or v == {})}


def _present(data: dict[str, Any], optional: dict[str, Any]) -> dict[str, Any]:
    """`data` and those of `optional` that are not None."""
    data.update((k, v) for k, v in optional.items() if v is not None)
    return data


def _node_to_json(node: CdiNode) -> dict[str, Any]:
    out: dict[str, Any] = {"path": node.path}
    plain = {"hostPath": node.host_path, "type": node.type, "major": node.major, "minor": node.minor}
    out.update(_without_empty(plain))
    if node.file_mode is not None:
        out["fileMode"] = node.file_mode
    out.update(_without_empty({"permissions": node.permissions}))
    return _present(out, {"uid": node.uid, "gid": node.gid})


def _mount_to_json(mount: CdiMount) -> dict[str, Any]:
    out: dict[str, Any] = {"hostPath": mount.host_path, "containerPath": mount.container_path}
    out.update(_without_empty({"options": list(mount.options), "type": mount.type}))
    return out


def _hook_to_json(hook: CdiHook) -> dict[str, Any]:
    out: dict[str, Any] = {"hookName": hook.name, "path": hook.path}
    out.update(_without_empty({"args": list(hook.args), "env": list(hook.env)}))
    return _present(out, {"timeout": hook.timeout})


def _rdt_to_json(rdt: IntelRdt) -> dict[str, Any]:
    return _without_empty(
        {
            "closID": rdt.clos_id,
            "l3CacheSchema": rdt.l3_cache_schema,
            "memBwSchema": rdt.mem_bw_schema,
            "schemata": list(rdt.schemata or ()),
            "enableMonitoring": rdt.enable_monitoring or None,
        }
    )


def spec_from_json(data: Mapping[str, Any], because: Reasons = ()) -> CdiSpec:
    """A spec from a JSON object whose fields have the right types (see `nvsim.inject.cdi.load`); unknown keys are ignored.

    `because` is put on every mount, node and hook.
    """
    return CdiSpec(
        data.get("cdiVersion") or "",
        data.get("kind") or "",
        tuple(
            CdiDevice(
                d.get("name") or "", edits_from_json(d.get("containerEdits"), because), dict(d.get("annotations") or {})
            )
            for d in (device or {} for device in data.get("devices") or ())
        ),
        edits_from_json(data.get("containerEdits"), because),
        dict(data.get("annotations") or {}),
    )


def edits_from_json(data: Mapping[str, Any] | None, because: Reasons = ()) -> Edits:
    """Container edits from a JSON object whose fields have the right types."""
    if not data:
        return Edits()
    rdt = data.get("intelRdt")
    return Edits(
        tuple(data.get("env") or ()),
        tuple(_node_from_json(n, because) for n in data.get("deviceNodes") or ()),
        tuple(NetDevice(n.get("hostInterfaceName") or "", n.get("name") or "") for n in data.get("netDevices") or ()),
        tuple(_hook_from_json(h, because) for h in data.get("hooks") or ()),
        tuple(_mount_from_json(m, because) for m in data.get("mounts") or ()),
        None if rdt is None else _rdt_from_json(rdt),
        tuple(data.get("additionalGids") or ()),
    )


def _node_from_json(data: Mapping[str, Any], because: Reasons) -> CdiNode:
    return CdiNode(
        data.get("path") or "",
        data.get("hostPath") or "",
        data.get("type") or "",
        data.get("major") or 0,
        data.get("minor") or 0,
        data.get("fileMode"),
        data.get("permissions") or "",
        data.get("uid"),
        data.get("gid"),
        because,
    )


def _hook_from_json(data: Mapping[str, Any], because: Reasons) -> CdiHook:
    return CdiHook(
        data.get("hookName") or "",
        data.get("path") or "",
        tuple(data.get("args") or ()),
        tuple(data.get("env") or ()),
        data.get("timeout"),
        because,
    )


def _mount_from_json(data: Mapping[str, Any], because: Reasons) -> CdiMount:
    return CdiMount(
        data.get("hostPath") or "",
        data.get("containerPath") or "",
        tuple(data.get("options") or ()),
        data.get("type") or "",
        because,
    )


def _rdt_from_json(data: Mapping[str, Any]) -> IntelRdt:
    schemata = data.get("schemata")
    return IntelRdt(
        data.get("closID") or "",
        data.get("l3CacheSchema") or "",
        data.get("memBwSchema") or "",
        None if schemata is None else tuple(schemata),
        bool(data.get("enableMonitoring")),
    )


def _needs_1_1_0(spec: CdiSpec) -> bool:
    return any(
        e.net_devices or (e.rdt is not None and (e.rdt.schemata is not None or e.rdt.enable_monitoring))
        for e in spec.all_edits()
    )


def _needs_0_7_0(spec: CdiSpec) -> bool:
    return any(e.rdt is not None or e.gids for e in spec.all_edits())


def _needs_0_6_0(spec: CdiSpec) -> bool:
    return bool(spec.annotations or any(d.annotations for d in spec.devices) or "." in spec.kind.partition("/")[2])


def _needs_0_5_0(spec: CdiSpec) -> bool:
    return any("0" <= d.name[:1] <= "9" for d in spec.devices) or any(
        n.host_path for e in _seen_edits(spec) for n in e.nodes
    )


def _needs_0_4_0(spec: CdiSpec) -> bool:
    return any(m.type for e in _seen_edits(spec) for m in e.mounts)


def _seen_edits(spec: CdiSpec) -> tuple[Edits, ...]:
    """The edits that the checks for 0.5.0 and 0.4.0 look at: of the devices only the last one's (they collect pointers to a loop
    variable, and the library is compiled with the rules of Go before 1.22)."""
    return (*(d.edits for d in spec.devices[-1:]), spec.edits)


_REQUIREMENTS: tuple[tuple[str, Callable[[CdiSpec], bool]], ...] = (  # highest first
    ("1.1.0", _needs_1_1_0),
    ("0.7.0", _needs_0_7_0),
    ("0.6.0", _needs_0_6_0),
    ("0.5.0", _needs_0_5_0),
    ("0.4.0", _needs_0_4_0),
)


def minimum_version(spec: CdiSpec) -> str:
    """The lowest CDI version that has everything `spec` uses."""
    return next((version for version, needed in _REQUIREMENTS if needed(spec)), EARLIEST_VERSION)


def with_minimum_version(spec: CdiSpec) -> CdiSpec:
    """`spec` with the version set to what it needs."""
    return evolve(spec, version=minimum_version(spec))
