#!/usr/bin/python3
"""Reboots of nodes under a gang, shorter and longer than the lease: it is requeued each time, never failed. Needs root.

  soak_reboots.py BIN_DIR [--reboots 100] [--from 0] [--seed 1]

A reboot: the machine's whole pid namespace is killed at once, its /run emptied, another boot id is there.
SIGTERM or SIGINT ends it after the reboot it is at; `--from N` goes on there.
"""
import argparse
import random
import sys
import time

from cases import submit_gang
from cluster import Cluster
from lab import Stop, until

LEASE = 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bin_dir")
    parser.add_argument("--reboots", type=int, default=100)
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="N", help="leave out the first N reboots")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    stop = Stop()
    short = done = 0
    with Cluster(args.bin_dir, nodes=3, seed=args.seed, lease=f"{LEASE}s") as c:
        c.up()
        gang = submit_gang(c, 10**6)
        until(lambda: c.job(gang)["phase"] == "running", "the gang runs")
        for number in range(args.reboots):
            victim = rng.choice(c.nodes)
            pause = rng.choice([0, rng.uniform(0, LEASE - 1), rng.uniform(LEASE + 1, 2 * LEASE)])
            if number < args.first:
                continue
            if stop:
                break
            before = c.job(gang)["attempt"]
            begin = time.monotonic()
            done += 1
            short += pause < LEASE
            victim.power_off()
            time.sleep(pause)
            victim.boot()
            c.start_agent(victim)

            def again():
                job = c.job(gang)
                assert job["phase"] in ("running", "queued", "pending", "placed", "starting", "stopping"), job
                return job["phase"] == "running" and job["attempt"] > before and all(
                    t["phase"] == "running" for t in job["tasks"])
            until(again, f"reboot {number + 1}: {victim.name}, away for {pause:.1f} s; the gang runs again", 90)
            print(f"reboot {number + 1}/{args.reboots}: {victim.name} away for {pause:.1f} s, attempt {before} requeued, "
                  f"runs again {time.monotonic() - begin:.1f} s after", flush=True)
        c.allot("cancel", gang)
        print(f"ok seed={args.seed} reboots={args.first}..{args.first + done}, {short} of them shorter than the lease; "
              "gang never failed" + (f"; stopped, --from {args.first + done} goes on" if stop else ""))
    return 0


sys.exit(main())
