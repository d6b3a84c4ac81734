"""The structures of the OCI runtime specification, as the library of each toolkit release declares them (``specs-go/config.go``).

One line a structure: members with their Go type; ``!`` = written even when empty; ``@1.18.1`` = from that toolkit release on, ``<1.18.1`` =
up to it. Any other member of a config.json is unknown to the release.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from nvsim.frozen import frozen
from nvsim.toolkit.go_json import BOOL, INT, STRING, GoType, ListOf, MapOf, Raw, Scalar, Struct
from nvsim.toolkit.releases import Version, version_key

_TEXT = """
Spec: ociVersion! string, process *Process, root *Root, hostname string, domainname string @1.12.0, mounts
  []Mount, hooks *Hooks, annotations map[string]string, linux *Linux, solaris *Solaris, windows *Windows, vm
  *VM, zos *ZOS, freebsd *FreeBSD @1.18.1
Process: terminal bool, consoleSize *Box, user! User, args []string, commandLine string, env []string, cwd!
  string, capabilities *LinuxCapabilities, rlimits []POSIXRlimit, noNewPrivileges bool, apparmorProfile string,
  oomScoreAdj *int, scheduler *Scheduler @1.14.5, selinuxLabel string, ioPriority *LinuxIOPriority @1.14.5,
  execCPUAffinity *CPUAffinity @1.17.5
Root: path! string, readonly bool
Mount: destination! string, type string, source string, options []string, uidMappings []LinuxIDMapping @1.12.0,
  gidMappings []LinuxIDMapping @1.12.0
Hooks: prestart []Hook, createRuntime []Hook, createContainer []Hook, startContainer []Hook, poststart []Hook,
  poststop []Hook
Linux: uidMappings []LinuxIDMapping, gidMappings []LinuxIDMapping, sysctl map[string]string, resources
  *LinuxResources, cgroupsPath string, namespaces []LinuxNamespace, devices []LinuxDevice, netDevices
  map[string]LinuxNetDevice @1.18.1, seccomp *LinuxSeccomp, rootfsPropagation string, maskedPaths []string,
  readonlyPaths []string, mountLabel string, intelRdt *LinuxIntelRdt, memoryPolicy *LinuxMemoryPolicy @1.18.1,
  personality *LinuxPersonality, timeOffsets map[string]LinuxTimeOffset @1.13.2
Solaris: milestone string, limitpriv string, maxShmMemory string, anet []SolarisAnet, cappedCPU
  *SolarisCappedCPU, cappedMemory *SolarisCappedMemory
Windows: layerFolders! []string, devices []WindowsDevice, resources *WindowsResources, credentialSpec any,
  servicing bool, ignoreFlushesDuringBoot bool, hyperv *WindowsHyperV, network *WindowsNetwork
VM: hypervisor VMHypervisor, kernel! VMKernel, image VMImage, hwconfig *HWConfig @1.18.1
ZOS: devices []ZOSDevice <1.17.5, namespaces []ZOSNamespace @1.17.5
FreeBSD: devices []FreeBSDDevice, jail *FreeBSDJail
Box: height! uint, width! uint
User: uid! uint32, gid! uint32, umask *uint32, additionalGids []uint32, username string
LinuxCapabilities: bounding []string, effective []string, inheritable []string, permitted []string, ambient
  []string
POSIXRlimit: type! string, hard! uint64, soft! uint64
Scheduler: policy! LinuxSchedulerPolicy, nice int32, priority int32, flags []LinuxSchedulerFlag, runtime uint64,
  deadline uint64, period uint64
LinuxIOPriority: class! IOPriorityClass, priority! int
CPUAffinity: initial string, final string
LinuxIDMapping: containerID! uint32, hostID! uint32, size! uint32
Hook: path! string, args []string, env []string, timeout *int
LinuxResources: devices []LinuxDeviceCgroup, memory *LinuxMemory, cpu *LinuxCPU, pids *LinuxPids, blockIO
  *LinuxBlockIO, hugepageLimits []LinuxHugepageLimit, network *LinuxNetwork, rdma map[string]LinuxRdma, unified
  map[string]string
LinuxNamespace: type! LinuxNamespaceType, path string
LinuxDevice: path! string, type! string, major! int64, minor! int64, fileMode *FileMode, uid *uint32, gid
  *uint32
LinuxNetDevice: name string
LinuxSeccomp: defaultAction! LinuxSeccompAction, defaultErrnoRet *uint, architectures []Arch, flags
  []LinuxSeccompFlag, listenerPath string, listenerMetadata string, syscalls []LinuxSyscall
LinuxIntelRdt: closID string, schemata []string @1.18.1, l3CacheSchema string, memBwSchema string,
  enableMonitoring bool @1.18.1, enableCMT bool <1.18.1, enableMBM bool <1.18.1
LinuxMemoryPolicy: mode! MemoryPolicyModeType, nodes! string, flags []MemoryPolicyFlagType
LinuxPersonality: domain! LinuxPersonalityDomain, flags []LinuxPersonalityFlag
LinuxTimeOffset: secs int64, nanosecs uint32
SolarisAnet: linkname string, lowerLink string, allowedAddress string, configureAllowedAddress string, defrouter
  string, linkProtection string, macAddress string
SolarisCappedCPU: ncpus string
SolarisCappedMemory: physical string, swap string
WindowsDevice: id! string, idType! string
WindowsResources: memory *WindowsMemoryResources, cpu *WindowsCPUResources, storage *WindowsStorageResources
WindowsHyperV: utilityVMPath string
WindowsNetwork: endpointList []string, allowUnqualifiedDNSQuery bool, DNSSearchList []string,
  networkSharedContainerName string, networkNamespace string
VMHypervisor: path! string, parameters []string
VMKernel: path! string, parameters []string, initrd string
VMImage: path! string, format! string
HWConfig: deviceTree string, vcpus *uint32, memory *uint64, dtdevs []string, iomems []IOMems, irqs []uint32
ZOSNamespace: type! ZOSNamespaceType, path string
FreeBSDDevice: path! string, mode *FileMode
FreeBSDJail: parent string, host FreeBSDSharing, ip4 FreeBSDSharing, ip4Addr []string, ip6 FreeBSDSharing,
  ip6Addr []string, vnet FreeBSDSharing, interface string, vnetInterfaces []string, sysvmsg FreeBSDSharing,
  sysvsem FreeBSDSharing, sysvshm FreeBSDSharing, enforceStatfs *int, allow *FreeBSDJailAllow
LinuxDeviceCgroup: allow! bool, type string, major *int64, minor *int64, access string
LinuxMemory: limit *int64, reservation *int64, swap *int64, kernel *int64, kernelTCP *int64, swappiness *uint64,
  disableOOMKiller *bool, useHierarchy *bool, checkBeforeUpdate *bool @1.13.2
LinuxCPU: shares *uint64, quota *int64, burst *uint64 @1.13.2, period *uint64, realtimeRuntime *int64,
  realtimePeriod *uint64, cpus string, mems string, idle *int64 @1.12.0
LinuxPids: limit! int64 <1.18.1, limit *int64 @1.18.1
LinuxBlockIO: weight *uint16, leafWeight *uint16, weightDevice []LinuxWeightDevice, throttleReadBpsDevice
  []LinuxThrottleDevice, throttleWriteBpsDevice []LinuxThrottleDevice, throttleReadIOPSDevice
  []LinuxThrottleDevice, throttleWriteIOPSDevice []LinuxThrottleDevice
LinuxHugepageLimit: pageSize! string, limit! uint64
LinuxNetwork: classID *uint32, priorities []LinuxInterfacePriority
LinuxRdma: hcaHandles *uint32, hcaObjects *uint32
LinuxSyscall: names! []string, action! LinuxSeccompAction, errnoRet *uint, args []LinuxSeccompArg
WindowsMemoryResources: limit *uint64
WindowsCPUResources: count *uint64, shares *uint16, maximum *uint16, affinity []WindowsCPUGroupAffinity @1.17.5
WindowsStorageResources: iops *uint64, bps *uint64, sandboxSize *uint64
IOMems: firstGFN *uint64, firstMFN! *uint64, nrMFNs! *uint64
FreeBSDJailAllow: setHostname bool, rawSockets bool, chflags bool, mount []string, quotas bool, socketAf bool,
  mlock bool, reservedPorts bool, suser bool
LinuxWeightDevice: major! int64, minor! int64, weight *uint16, leafWeight *uint16
LinuxThrottleDevice: major! int64, minor! int64, rate! uint64
LinuxInterfacePriority: name! string, priority! uint32
LinuxSeccompArg: index! uint, value! uint64, valueTwo uint64, op! LinuxSeccompOperator
WindowsCPUGroupAffinity: mask uint64, group uint32
ZOSDevice: path! string, type! string, major! int64, minor! int64, fileMode *FileMode, uid *uint32, gid *uint32
"""

_NAMES = frozenset(
    (
        "Arch",
        "FreeBSDSharing",
        "IOPriorityClass",
        "LinuxNamespaceType",
        "LinuxPersonalityDomain",
        "LinuxPersonalityFlag",
        "LinuxSchedulerFlag",
        "LinuxSchedulerPolicy",
        "LinuxSeccompAction",
        "LinuxSeccompFlag",
        "LinuxSeccompOperator",
        "MemoryPolicyFlagType",
        "MemoryPolicyModeType",
        "ZOSNamespaceType",
    )
)
"""Types that are strings by another name."""

_SCALARS: Mapping[str, GoType] = {
    "string": STRING,
    "bool": BOOL,
    "int": INT,
    "int32": Scalar("int32", -(2**31), 2**31 - 1),
    "int64": Scalar("int64"),
    "uint": Scalar("uint", 0, 2**64 - 1),
    "uint16": Scalar("uint16", 0, 2**16 - 1),
    "uint32": Scalar("uint32", 0, 2**32 - 1),
    "uint64": Scalar("uint64", 0, 2**64 - 1),
    "FileMode": Scalar("fs.FileMode", 0, 2**32 - 1),
    "any": Raw(),
}


@frozen
class Member:
    """A member of a structure: its JSON name, its Go type as text, and whether it is written even when empty."""

    name: str
    type: str
    always: bool


Members = Mapping[str, tuple[Member, ...]]


def _parsed() -> Mapping[str, tuple[tuple[Member, Version | None, Version | None], ...]]:
    lines = (line.partition(": ") for line in _TEXT.replace("\n  ", " ").strip().split("\n"))
    return {name: tuple(_member(*told.split()) for told in body.split(", ")) for name, _, body in lines}


def _member(name: str, go_type: str, *releases: str) -> tuple[Member, Version | None, Version | None]:
    """A member, and the releases from and up to which it is there."""
    since, until = (next((version_key(r[1:]) for r in releases if r[0] == mark), None) for mark in "@<")
    return Member(name.removesuffix("!"), go_type, name.endswith("!")), since, until


_STRUCTS = _parsed()


@lru_cache(maxsize=32)
def members_at(version: Version) -> Members:
    """The members of each structure that a release knows, in the order in which it writes them."""
    return {
        name: tuple(
            m for m, since, until in rows if (since is None or version >= since) and (until is None or version < until)
        )
        for name, rows in _STRUCTS.items()
    }


@lru_cache(maxsize=32)
def spec_type(version: Version) -> GoType:
    """The type of a whole config.json for a release."""
    return _type("Spec", members_at(version))


def _type(text: str, members: Members) -> GoType:
    base = text.removeprefix("*")
    if base.startswith("[]"):
        return ListOf(_type(base.removeprefix("[]"), members))
    if base.startswith("map[string]"):
        return MapOf(_type(base.removeprefix("map[string]"), members))
    if base in _NAMES:
        return Scalar(f"specs.{base}", kind="string")
    if base in members:
        return Struct(f"specs.{base}", {m.name: _type(m.type, members) for m in members[base]})
    return _SCALARS[base]
