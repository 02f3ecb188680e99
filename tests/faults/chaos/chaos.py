#!/usr/bin/python3
"""Chaos on real processes: whatever can go wrong does, under jobs and streams; then every one is accounted for.

  chaos.py BIN_DIR [--seed N] [--seconds S] [--folder DIR] [--keep]
  chaos.py --plan [--seed N] [--seconds S]      what would go wrong, and when

The seed decides which fault comes when and to whom, and what work there is; the same seed is the same plan, not the
same run. After the last fault everything is mended, and what must then become true is waited for. Exit code 0: all is
accounted for; 1: it is not, the folder is kept and the command that repeats the plan is printed; 2: usage, or what the
run needs is not here. README.md says what is checked.

Full disks need root (each state folder is a small tmpfs), clocks Debian's libfaketime; without them those faults are
left out and the run says so. SIGTERM and SIGINT end the faults early; the account is made all the same.
"""
import argparse
import collections
import os
import shutil
import signal
import sys
import threading
import time

import account
from cluster import Cluster, GATEWAYS, RunError, processes, until
from faults import Faults, unexpected_ends
from plan import make_plan
from work import Work

REPLICAS = 3


class Run:
    def __init__(self, args):
        self.args, self.cluster = args, Cluster(args.bin_dir, args.folder)
        self.begin = time.monotonic()
        self.work = Work(self.cluster, args.seed, args.pause)
        self.faults = Faults(self.cluster, self.work, self.say)
        self.problems, self.figures = [], collections.Counter()
        self.stopped = threading.Event()

    def say(self, text):
        print(text, flush=True)

    def step(self, what):
        self.say(f"{time.monotonic() - self.begin:7.1f} s -- {what}")

    def chaos(self):
        c = self.cluster
        if not c.can_fill:
            self.say("full disks: left out, they need root and mount()")
        if not c.can_fake_time:
            self.say("clocks: left out, they need libfaketime (scripts/deps.sh --test)")
        c.up()
        c.deploy(REPLICAS)
        c.start_streams(self.args.streams)
        self.work.start()
        self.faults.take("backup")
        self.begin = time.monotonic()
        for fault in make_plan(self.args.seed, self.args.seconds):
            if self.stopped.wait(max(0.0, self.begin + fault.at - time.monotonic())):
                break
            self.faults.begin(fault)
        self.step("the last fault; all is mended")
        self.faults.end()

    def calm(self):
        """Nothing is broken any more: what must become true now."""
        c, work = self.cluster, self.work
        c.await_nodes()
        self.step("all nodes are ready")
        # An older store may know of no deployment, or of one of another size.
        c.deploy(REPLICAS)
        c.await_served()
        work.no_more()
        until(lambda: not work.submitting(), "every submission is acknowledged")
        self.step(f"{len(work.submissions)} submissions are acknowledged")
        self.await_whole_streams()
        c.end_streams()
        self.step("streams are whole again, and have ended")
        self.await_jobs()
        self.step("no job is left")

        def well():
            self.doctor = c.doctor()
            return self.doctor[0] == 0
        try:
            until(well, "doctor finds nothing wrong")
        except AssertionError:
            self.problems.append(f"doctor, when all is well: {self.doctor[1]}")
        work.stop()

    def await_whole_streams(self):
        """Of each gateway, whatever is begun from some moment on."""
        def whole():
            now = self.cluster.read_streams()
            for name in GATEWAYS:
                last = [r for r in now if r["gateway"] == name][-20:]
                if len(last) < 20 or any(r["ended"] != "whole" for r in last):
                    return False
            return True
        until(whole, "the last twenty requests at each gateway are whole", every=1)

    def await_jobs(self):
        def none():
            for phase in ("pending", "running", "stopping"):
                page = self.cluster.get(f"/v1/jobs?phase={phase}&limit=5")
                if page is None or page["jobs"]:
                    self.left = page
                    return False
            return True
        try:
            until(none, "every job has ended", every=0.5)
        except AssertionError as error:
            for job in (self.left or {}).get("jobs", []):
                self.problems.append(f"{error}: {job['id']} is {job['phase']}; " +
                                     self.cluster.allot("explain", job["id"]).stdout[:400])

    def look_at_everything(self):
        c, work = self.cluster, self.work
        views = {}
        for s in work.submissions:
            if s.id and s.id not in views:
                def answer(s=s):
                    try:
                        status, value = c.ask("GET", f"/v1/jobs/{s.id}")
                    except OSError:
                        return False
                    return status in (200, 404) and (status, value)
                status, value = until(answer, f"{s.id} is looked up")
                views[s.id] = value["job"] if status == 200 else None
        with open(c.ledger) as file:
            ledger, odd = account.read_ledger(file.read())
        made = account.Account(work.submissions, views, ledger, work.restores, self.faults.killed, work.finished,
                               work.pids)
        self.problems += odd + made.run() + work.problems + self.faults.problems
        self.figures += made.figures
        self.logs(views, ledger)

    def logs(self, views, ledger):
        """Of every job that is still known, up to a few hundred, spread over the run."""
        known = sorted((s.id, s.name) for s in self.work.submissions
                       if views.get(s.id) and views[s.id].get("name") == s.name and views[s.id]["tasks_total"] == 1)
        for job_id, name in known[::max(1, len(known) // 300)]:
            view = views[job_id]
            nodes = {x.node for x in ledger if (x.job, x.name) == (job_id, name)}
            if not nodes:
                continue
            try:
                text = self.cluster.text(f"/v1/jobs/{job_id}/logs")
            except OSError as error:
                if not self.faults.filled.keys() & nodes:
                    self.problems.append(f"the log of {job_id} ({name}) cannot be had: {error}")
                continue
            self.figures["logs read"] += 1
            self.problems += account.log(name, view["outcome"], text, bool(self.faults.filled.keys() & nodes))

    def end(self):
        """Undeployed, nothing runs; then our programs end, and nothing at all is left."""
        c = self.cluster
        c.undeploy("chat")
        ours = {p.process.pid for p in c.programs.values() if p.process}
        try:
            until(lambda: not (set(processes(c.folder)) - ours), "no process is left but the programs")
        except AssertionError as error:
            self.problems.append(f"{error}: " + ", ".join(
                f"{pid} {command(pid)}" for pid in set(processes(c.folder)) - ours))
        found, figures = account.streams(c.read_streams(), {g: c.programs[g].down for g in GATEWAYS})
        self.problems += found
        self.figures += figures
        self.problems += unexpected_ends(c, self.faults)
        c.stop_programs()
        if left := processes(c.folder):
            self.problems.append(f"left when all programs had ended: {', '.join(command(p) for p in left)}")

    def run(self):
        try:
            self.chaos()
            self.calm()
            self.look_at_everything()
            self.end()
        except (AssertionError, OSError) as error:
            self.problems += [f"{type(error).__name__}: {error}", *self.faults.problems, *self.work.problems]
            self.problems += unexpected_ends(self.cluster, self.faults)
        finally:
            self.work.stop()
            if self.problems:
                self.cluster.tails()
                self.cluster.keep_state()
            self.cluster.close()
        return self.tell()

    def repeat(self):
        return f"chaos.py {self.args.bin_dir} --seed {self.args.seed} --seconds {self.args.seconds:g}"

    def tell(self):
        args = self.args
        for problem in self.problems[:40]:
            print("PROBLEM", problem)
        if len(self.problems) > 40:
            print(f"… and {len(self.problems) - 40} more")
        for title, counts in (("faults", self.faults.done), ("left out", self.faults.left_out), ("account", self.figures)):
            if counts:
                print(f"{title}: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
        if self.problems or args.keep:
            print(f"kept in {self.cluster.folder}")
        else:
            shutil.rmtree(self.cluster.folder, ignore_errors=True)
        seconds = time.monotonic() - self.begin
        if self.problems:
            print(f"FAILED seed={args.seed}; again: tests/faults/chaos/{self.repeat()}")
            return 1
        print(f"ok seed={args.seed} seconds={seconds:.0f}: nothing is unaccounted for")
        return 0


def command(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:
        return "(gone)"


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir", nargs="?")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60, help="how long faults come (default 60)")
    parser.add_argument("--streams", type=int, default=5, help="model clients at each of two gateways (default 5)")
    parser.add_argument("--pause", type=float, default=1.0, help="factor on the pauses between submissions (default 1)")
    parser.add_argument("--folder", help="where the run's folder is made (default: the system's)")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a run that is well, too")
    parser.add_argument("--plan", action="store_true", help="print the plan and do nothing")
    args = parser.parse_args(argv)
    if not args.plan and (not args.bin_dir or not os.path.exists(os.path.join(args.bin_dir, "allot-scheduler"))):
        parser.error("BIN_DIR is where the programs are, like build/dev/bin")
    return args


def main(argv):
    args = arguments(argv)
    if args.plan:
        print("\n".join(map(str, make_plan(args.seed, args.seconds))))
        return 0
    print(f"seed={args.seed} seconds={args.seconds:g}", flush=True)
    try:
        run = Run(args)
    except RunError as error:
        print(f"chaos.py: {error}", file=sys.stderr)
        return 2
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: run.stopped.set())
    return run.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
