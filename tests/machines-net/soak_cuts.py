#!/usr/bin/python3
"""Cuts of random length and place under a gang, small jobs and 50 streams. Needs root.

  soak_cuts.py BIN_DIR [--cuts 100] [--from 0] [--seed 1] [--streams 50] [--longest 40]

What must hold:
- a stream is cut only if the way between its gateway and its node was cut while it ran, and none is refused;
- every job that was acknowledged ends in success; a program that reported its end is not started again;
- while a node is cut off for longer than the lease, `doctor` says so; after the heal it finds no problem;
- whatever waits says why.
A line a cut, figures at the end; the seed repeats places and lengths (not what the machine does meanwhile).
SIGTERM or SIGINT ends it after the cut it is at, with the figures of what was done; `--from N` goes on there.
"""
import argparse
import collections
import json
import os
import random
import sys
import threading
import time

from cases import doctor, submit_gang
from cluster import Cluster, HERE, PYTHON
from lab import Stop, loads, until

LEASE = 8


class Traffic(threading.Thread):
    """Keeps so many streams going; remembers when each ran, where, and how it ended."""

    def __init__(self, cluster, streams, events, interval):
        super().__init__(daemon=True)
        self.cluster, self.streams, self.events, self.interval = cluster, streams, events, interval
        self.stop = False
        self.ended = []
        self.round = 0

    def run(self):
        c = self.cluster
        while not self.stop:
            self.round += 1
            begin = time.monotonic()
            process = c.client.start(f"traffic-{self.round % 4}", PYTHON, os.path.join(HERE, "streams.py"),
                                     f"http://{c.gateway.address}:7411", c.token_file, self.streams, self.events,
                                     self.interval)
            offset = os.path.getsize(process.log)
            process.wait()
            with open(process.log) as log:
                log.seek(offset)
                for line in log:
                    stream = loads(line, "a line of streams.py")
                    if "id" in stream:
                        self.ended.append((begin, begin + stream["seconds"], stream))


def places(c):
    names = [n.name for n in c.nodes]
    out = [("head", n) for n in names] + [("gateway", n) for n in names] + [("head", "gateway")]
    out += [(n, "*") for n in names] + [("head", "*")]
    out += [(a, b) for i, a in enumerate(names) for b in names[i + 1:]]
    return out


def cut_between(cuts, gateway, node, begin, end):
    """Was that path cut at some time from begin to end? A little before counts too: what was lost is sent again."""
    for a, b, start, stop in cuts:
        hit = {a, b} == {gateway, node} or (b == "*" and a in (gateway, node))
        if hit and start <= end and stop + 5 >= begin:
            return True
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bin_dir")
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="N", help="leave out the first N cuts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--longest", type=float, default=40)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    stop = Stop()
    problems = []

    with Cluster(args.bin_dir, seed=args.seed, lease=f"{LEASE}s", per_node=4) as c:
        c.up()
        c.deploy(replicas=4, devices=2)  # One on each node, beside the gang's task: there is no other room.
        gang = submit_gang(c, 10**6)
        done = os.path.join(c.shared, "done")
        open(done, "w").close()
        traffic = Traffic(c, args.streams, 100, 0.05)
        traffic.start()
        cuts, jobs, unacknowledged = [], [], 0
        for number in range(args.cuts):
            a, b = rng.choice(places(c))
            length = rng.choice([rng.uniform(0.2, 3), rng.uniform(3, LEASE), rng.uniform(LEASE, args.longest)])
            if number < args.first:
                continue
            if stop:
                break
            begin = time.monotonic()
            c.lab.cut(a, b)
            said = ""
            for _ in range(2):
                sent = c.allot("submit", "--name", f"small-{len(jobs)}", "--cpus", "0.1", "--memory", "16MiB", "--",
                               "sh", "-c", f"echo $ALLOT_JOB_ID >> {done}", check=False, timeout=60) \
                    if a != "head" or b != "*" else None
                if sent and sent.returncode == 0:
                    jobs.append(sent.stdout.split()[-1])
                elif sent:
                    unacknowledged += 1
            cut_off = [n.name for n in c.nodes if {a, b} in ({"head", n.name}, {n.name, "*"})]
            while time.monotonic() - begin < length:
                time.sleep(0.1)
                if cut_off and not said and time.monotonic() - begin > LEASE + 5:
                    answer = doctor(c, cut_off[0])
                    said = "doctor says lost" if answer.returncode == 7 else "doctor says nothing"
                    if answer.returncode != 7:
                        problems.append(f"cut {number}: {cut_off[0]} is cut off and doctor finds no problem")
            c.lab.heal()
            cuts.append((a, b, begin, time.monotonic()))
            try:
                c.wait_nodes(len(c.nodes), 60)
                until(lambda: doctor(c).returncode == 0, "doctor finds no problem after the heal", 60)
                until(lambda: c.job(gang)["phase"] == "running", "the gang runs again", 60)
            except AssertionError as error:
                waiting = c.allot("explain", gang, check=False).stdout
                problems.append(f"cut {number} {a}-{b} {length:.1f} s: {error}; explain: {waiting[:300]}; "
                                f"doctor: {doctor(c).stdout[:400]}")
            healed = time.monotonic() - cuts[-1][3]
            print(f"cut {number + 1}/{args.cuts}: {a}-{b} {length:.1f} s, well again {healed:.1f} s later {said}",
                  flush=True)
        traffic.stop = True
        traffic.join(120)

        for job in jobs:
            c.allot("wait", job, "--timeout", "60s", check=False)
            ended = c.job(job)
            if ended.get("outcome") != "succeeded":
                problems.append(f"{job} is {ended['phase']} {ended.get('outcome', '')}: "
                                + c.allot("explain", job, check=False).stdout[:300])
        with open(done) as file:
            times = collections.Counter(file.read().split())
        lost = [j for j in jobs if times[j] == 0]
        attempts = {j: c.job(j)["attempt"] for j in jobs}
        doubled = [j for j in jobs if times[j] > attempts[j]]
        problems += [f"{j} succeeded and never ran" for j in lost] + [f"{j} ran {times[j]} times in {attempts[j]} attempts" for j in doubled]

        whole = broken_by_cut = refused = 0
        for begin, end, stream in traffic.ended:
            if stream["done"] and not stream["error"]:
                whole += 1
            elif cut_between(cuts, "gateway", stream.get("node"), begin, end):
                broken_by_cut += 1
            elif not stream.get("node"):
                refused += 1
                if refused <= 20:
                    problems.append(f"refused, though three replicas are reached: {json.dumps(stream)} "
                                    f"at {begin - cuts[0][2]:.1f} s")
            else:
                problems.append(f"a stream of a healthy path was cut: {json.dumps(stream)} at {begin - cuts[0][2]:.1f} s")
        final = c.job(gang)
        print(f"streams: {whole} whole, {broken_by_cut} over a path that was cut, {refused} refused; "
              f"jobs: {len(jobs)} acknowledged, {len(lost)} lost, {len(doubled)} doubled, {unacknowledged} submissions refused or unanswered; "
              f"gang: {final['phase']}, attempt {final['attempt']}")
        for problem in problems:
            print("PROBLEM", problem)
        print(f"{'FAILED' if problems else 'ok'} seed={args.seed} cuts={args.first}..{args.first + len(cuts)}"
              + (f"; stopped, --from {args.first + len(cuts)} goes on" if stop else ""))
    return 1 if problems else 0


sys.exit(main())
