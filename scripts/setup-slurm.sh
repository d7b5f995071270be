#!/usr/bin/env bash
# Installs what `cargo test --test slurm` needs to start a small cluster on this machine: Slurm and
# munge from the distribution. Needs root on Debian or Ubuntu. Where there is an init system, it starts
# munge, which the tests do not use; Slurm itself does not start without a configuration.
set -euo pipefail

ready() {
    local program
    # Debian keeps the daemons where users do not look.
    for program in munged slurmctld slurmd sbatch srun scontrol; do
        PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || return 1
    done
}

ready && exit 0
if [[ $EUID != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "setup-slurm: install slurm-wlm and munge, or run this as root on Debian or Ubuntu" >&2
    exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge
ready
