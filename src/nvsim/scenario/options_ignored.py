"""The options of ``docker run`` that change nothing which nvsim predicts: accepted on the command line, so that a command can be pasted
(docker/cli ``cli/command/container/opts.go`` and ``run.go``).

What docker says about their values is in `nvsim.scenario.option_values`. Options that matter are in `nvsim.scenario.options`.
"""

from __future__ import annotations

from collections.abc import Mapping

_FLAGS = """
-d --detach
--disable-content-trust
--init
-i --interactive
--no-healthcheck
--oom-kill-disable
-P --publish-all
-q --quiet
--rm
--sig-proxy
-t --tty
--use-api-socket
"""
_VALUES = """
--add-host
-a --attach
--blkio-weight
--blkio-weight-device
--cgroup-parent
--cgroupns
--cidfile
--cpu-count
--cpu-percent
--cpu-period
--cpu-quota
--cpu-rt-period
--cpu-rt-runtime
-c --cpu-shares
--cpus
--cpuset-cpus
--cpuset-mems
--detach-keys
--device-cgroup-rule
--device-read-bps
--device-read-iops
--device-write-bps
--device-write-iops
--dns
--dns-opt --dns-option
--dns-search
--domainname
--expose
--health-cmd
--health-interval
--health-retries
--health-start-interval
--health-start-period
--health-timeout
-h --hostname
--io-maxbandwidth
--io-maxiops
--ip
--ip6
--ipc
--isolation
--kernel-memory
-l --label
--label-file
--link
--link-local-ip
--log-driver
--log-opt
--mac-address
-m --memory
--memory-reservation
--memory-swap
--memory-swappiness
--name
--net --network
--net-alias --network-alias
--oom-score-adj
--pid
--pids-limit
-p --publish
--pull
--restart
--shm-size
--stop-signal
--stop-timeout
--storage-opt
--sysctl
--ulimit
--userns
--uts
--volume-driver
--volumes-from
"""
IGNORED: Mapping[tuple[str, ...], bool] = {
    tuple(line.split()): flag
    for lines, flag in ((_FLAGS, True), (_VALUES, False))
    for line in lines.strip().split("\n")
}
"""The names of each option as typed, shortest first -> whether it takes no value of its own."""
IGNORED_NAMES = frozenset(names[-1].lstrip("-").replace("-", "_") for names in IGNORED)  # as keys of a query
