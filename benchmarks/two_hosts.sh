#!/bin/sh
# Two hosts on one machine: network namespaces with a link of a given rate and delay, and ranks of Open MPI on both.
# Needs root, and ip, tc, unshare, taskset; of the environment's PATH: mpiexec, and python for a link with a delay.
#
#   benchmarks/two_hosts.sh up 1000              # a link of 1000 Mbit/s each way; without a number, as fast as it goes
#   benchmarks/two_hosts.sh up 1000 0.5          # and 0.5 ms each way: packets pass through a process (see delayed_link.py)
#   benchmarks/two_hosts.sh 2 bprop train mnist_cnn        # in the place of `mpiexec -n 2`; half of the ranks on each host
#   benchmarks/two_hosts.sh down
#
# A host's processes have one core of this machine, the first for host a, the second for host b (CORES="0 1").
set -eu

a=bprop-a b=bprop-b state=/run/bprop-two-hosts
address_a=10.77.0.1 address_b=10.77.0.2
here=$(cd "$(dirname "$0")" && pwd)

down() {
    if [ -e $state ]; then kill "$(cat $state)" 2>/dev/null || true; rm -f $state; fi
    for name in $a $b; do ip netns delete $name 2>/dev/null || true; done
}

up() {
    down
    for name in $a $b; do ip netns add $name; ip -n $name link set lo up; done
    if [ -n "${2:-}" ]; then
        setsid python "$here/delayed_link.py" $a $b --rate "$1" --delay "$2" </dev/null >/dev/null &
        echo $! >$state
        until ip -n $b link show wire >/dev/null 2>&1; do kill -0 "$(cat $state)"; sleep 0.1; done
        mtu=65000
    else
        ip link add wire netns $a type veth peer name wire netns $b
        mtu=1500
    fi
    ip -n $a address add $address_a/24 dev wire
    ip -n $b address add $address_b/24 dev wire
    for name in $a $b; do
        ip -n $name link set wire up mtu $mtu
        if [ -n "${1:-}" ] && [ -z "${2:-}" ]; then
            tc -n $name qdisc add dev wire root tbf rate "${1}mbit" burst 128kb limit 32mb
        fi
    done
}

# on_host ADDRESS COMMAND...: run a command on one of the hosts
on_host() {
    cores=${CORES:-0 1}
    if [ "$1" = $address_a ]; then host=$a core=${cores% *}; else host=$b core=${cores#* }; fi
    shift
    exec ip netns exec $host unshare --uts sh -c 'hostname "$0"; core=$1; shift; exec taskset -c "$core" sh -c "$*"' \
        $host "$core" "$@"
}

case ${1:-} in
up) shift; up "$@" ;;
down) down ;;
agent) # in the place of ssh: options, an address, a command
    shift
    while [ "${1#-}" != "$1" ]; do shift; done
    on_host "$@"
    ;;
[0-9]*)
    count=$1 each=$((($1 + 1) / 2))
    shift
    names=
    for name in OMP_NUM_THREADS BPROP_CACHE_DIR BPROP_MPI_TIMEOUT; do
        if eval "[ -n \"\${$name:-}\" ]"; then names="$names -x $name"; fi
    done
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    # shellcheck disable=SC2086
    set -- mpiexec --prtemca plm_ssh_agent "$here/two_hosts.sh agent" --prtemca prte_if_include 10.77.0.0/24 \
        --mca btl_tcp_if_include 10.77.0.0/24 --host $address_a:$each,$address_b:$each --map-by node --bind-to none \
        $names -n "$count" "$@"
    quoted=
    for word; do quoted="$quoted '$(printf %s "$word" | sed "s/'/'\\\\''/g")'"; done
    on_host $address_a "$quoted"
    ;;
*) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
