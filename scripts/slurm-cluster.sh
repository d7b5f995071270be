#!/usr/bin/env bash
# A small Slurm cluster on the loopback of this machine, for tests: two nodes of two processors each
# (n1 and n2, whatever the machine has), a partition that pre-empts the other, no accounting database,
# no cgroups, no systemd. Needs root and the packages of scripts/setup-slurm.sh. Everything it writes is in FOLDER, and it stops only
# what it started.
#
#     scripts/slurm-cluster.sh start FOLDER     # prints the line that clients need:
#     export SLURM_CONF=FOLDER/slurm.conf
#     scripts/slurm-cluster.sh stop FOLDER
set -euo pipefail

usage() {
    echo "usage: $0 start|stop FOLDER" >&2
    exit 2
}

(($# == 2)) || usage
action=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
export SLURM_CONF=$folder/slurm.conf
# Debian keeps the daemons where users do not look.
PATH=$PATH:/usr/sbin

fail() {
    echo "slurm-cluster: $1" >&2
    tail -n 20 "$folder"/*.log >&2 2>/dev/null || true
    exit 1
}

# A port that nothing listens on, above the ones that systems hand out by themselves least often.
free_port() {
    local port
    for _ in {1..100}; do
        port=$((20000 + RANDOM % 10000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && [[ " $taken " != *" $port "* ]]; then
            taken+=" $port"
            REPLY=$port
            return
        fi
    done
    fail "no free port"
}

# Waits, for at most half a minute, until a command succeeds.
await() {
    for _ in {1..150}; do
        "$@" >/dev/null 2>&1 && return
        sleep 0.2
    done
    return 1
}

idle() {
    [[ $(sinfo --noheader --Node --format=%T | sort -u) == idle ]]
}

# Ends the process of a pid file, if it still is the program that wrote it.
end() {
    local name=$1 pid
    pid=$(cat "$folder/$2" 2>/dev/null) || return 0
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$name" ]] || return 0
    kill -TERM "$pid" 2>/dev/null || return 0
    for _ in {1..50}; do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
}

stop() {
    # Jobs first, because nobody else would end their processes.
    if [[ -e $folder/slurmctld.pid ]]; then
        timeout 10 scancel --user=root --full >/dev/null 2>&1 || true
        for _ in {1..50}; do
            [[ -n $(timeout 5 squeue --noheader 2>/dev/null) ]] || break
            sleep 0.2
        done
    fi
    end slurmd slurmd-n1.pid
    end slurmd slurmd-n2.pid
    end slurmctld slurmctld.pid
    end munged munged.pid
}

start() {
    [[ $EUID == 0 ]] || fail "the daemons start jobs for others, which needs root"
    local program
    for program in munged slurmctld slurmd sbatch; do
        command -v "$program" >/dev/null || fail "$program is not installed; run scripts/setup-slurm.sh"
    done
    # slurmctld and the nodes find each other by names, and these have no spaces in slurm.conf.
    [[ $folder != *[[:space:]\"\\%]* ]] || fail "choose a folder without spaces, quotes and percent signs"
    mkdir -p "$folder/state"
    head -c 128 /dev/urandom >"$folder/munge.key"
    chmod 600 "$folder/munge.key"
    # --force: the folder may be below one that others may write to, such as /tmp.
    munged --force --num-threads=2 --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
        --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" \
        --seed-file="$folder/munged.seed" 2>"$folder/munged-start.log" || fail "munged does not start"

    local taken="" controller nodes=()
    free_port
    controller=$REPLY
    free_port
    nodes+=("$REPLY")
    free_port
    nodes+=("$REPLY")
    cat >"$SLURM_CONF" <<CONF
ClusterName=loopback
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$controller
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# Requeued jobs wait until their old credentials are void, two minutes unless this says less.
AuthInfo=socket=$folder/munge.socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/slurmctld.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmdSpoolDir=$folder/spool-%n
SlurmdLogFile=$folder/slurmd-%n.log
# The nodes have two processors each, whatever this machine has.
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=10
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=${nodes[0]} CPUs=2 RealMemory=4000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=${nodes[1]} CPUs=2 RealMemory=4000
# Jobs in the second partition take the place of those in the first, which are requeued.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=2
CONF
    await munge --socket="$folder/munge.socket" --no-input || fail "munged does not answer"
    slurmctld -c || fail "slurmctld does not start"
    await scontrol ping || fail "slurmctld does not answer"
    mkdir -p "$folder/spool-n1" "$folder/spool-n2"
    slurmd -c -N n1 || fail "slurmd n1 does not start"
    slurmd -c -N n2 || fail "slurmd n2 does not start"
    await idle || fail "the nodes do not come up"
    echo "export SLURM_CONF=$SLURM_CONF"
}

case $action in
start)
    trap '[[ $? == 0 ]] || stop' EXIT
    start
    ;;
stop) stop ;;
*) usage ;;
esac
