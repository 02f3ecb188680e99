#!/usr/bin/python3
"""Restores at random moments of a busy cluster: jobs short and long, a deployment and its streams, and a head that dies
and comes back with an older store, again and again.

  restores.py BIN_DIR [--restores N] [--seed N] [--folder DIR] [--keep]

Most are `allot backup` and `allot restore`; some are whole folders put back by hand, or emptied (those reuse numbers,
which is documented: only names are compared then); some are a plain kill -9, after which nothing may be said to be
foreign. Before each a job and a model server are started that no older store knows, and the server does not want to
end. After each:
- nobody is told a number that was another's; what was acknowledged before the backup is there;
- the node that holds them says so as long as it does, `allot doctor` with it, and not longer; then nothing is wrong;
- new work is placed and ends, and every gateway answers.
At the end every job, attempt, log, checkpoint and stream is accounted for, as after chaos.py. Exit codes as there.
"""
import argparse
import os
import random
import re
import signal
import sys
import time

import account
from chaos import REPLICAS, Run
from cluster import GATEWAYS, RunError, send, until
from work import Submission

KINDS = ("backup", "backup", "backup", "backup", "backup", "backup", "copy", "copy", "empty", "kill")


def make_plan(seed, count):
    """[(kind, seconds before the backup, seconds before the head dies, which backup, who dies with the head)]"""
    rng = random.Random(f"restores {seed}")
    plan, deck = [], []
    for _ in range(count):
        if not deck:
            deck = rng.sample(KINDS, len(KINDS))
        victim = rng.choice(["", "", "", "n1", "n2", "n3", "g1", "g2"])
        plan.append((deck.pop(), rng.uniform(0, 1.5), rng.uniform(0, 1.5), rng.random(), victim))
    return plan


class Witness:
    """A job and a model server of which no backup knows. The server does not end on SIGTERM until it is let go."""

    def __init__(self, run, number):
        self.run, self.cluster, self.number = run, run.cluster, number
        self.name, self.let_go = f"w{number}", run.cluster.path(f"let-go-{number}")
        s = self.job = Submission(self.name, steps=400, code=0, tasks=1, restarts=0, cancel_after=0.0)
        with run.work.lock:
            run.work.submissions.append(s)
        assert run.work.submit_one(s)
        self.cluster.deploy(1, self.name, [self.let_go])
        self.replica = self.cluster.await_served(self.name)["replicas"][0]
        self.line = until(lambda: next((x for x in run.ledger() if x.name == s.name and x.what == "start"), None),
                          f"{s.id} ({s.name}) runs")

    def goes_on(self):
        """Only the head died: both are known, and go on."""
        c = self.cluster
        c.await_nodes()

        def known():
            view = c.get(f"/v1/jobs/{self.job.id}")
            return view and view["job"]["phase"] == "running" and view["job"]["attempt"] == 1
        until(known, f"{self.job.id} ({self.name}) still runs after a kill -9 of the head")
        now = c.await_served(self.name)["replicas"]
        if [r["pid"] for r in now] != [self.replica["pid"]] or not send(self.line.pid, 0):
            self.run.problems.append(f"round {self.number}: processes of {self.name} were {self.line.pid} and "
                                     f"{self.replica['pid']}; now the replicas are {now}")
        self.end()
        c.undeploy(self.name)
        self.job.cancel_after = 0.01

    def end(self):
        open(self.let_go, "w").close()

    def is_foreign(self, said_before):
        """Said while it exists: in the log, of the node, by doctor; and ended."""
        c, run, node = self.cluster, self.run, self.replica["node"]

        def doctor_says():
            # It is killed after the grace of those whom nobody knows: then there is nothing to be said any more.
            return not send(self.replica["pid"], 0) or (
                (run.foreign() or {}).get(node) and "another life of the store" in c.allot("doctor", node).stdout)
        until(doctor_says, f"doctor says that {node} holds {self.replica['id']} of another life")
        if not send(self.replica["pid"], 0):
            run.faults.done["foreign work that was ended before doctor was heard"] += 1
        else:
            run.faults.done["foreign work of which doctor told while it was there"] += 1
        self.end()
        for pid in (self.line.pid, self.replica["pid"]):
            until(lambda: not send(pid, 0), f"round {self.number}: {pid} of {self.name}, which no store knows, has ended")
        said = run.lines_of_foreign_work()[len(said_before):]
        for node, which in ((self.line.node, 1), (self.replica["node"], 2)):
            if not any(x[0] == node and x[which] for x in said):
                run.problems.append(f"round {self.number}: {node} held work of {self.name}, and the log says {said}")


class Restores(Run):
    def chaos(self):
        c = self.cluster
        c.up()
        c.deploy(REPLICAS)
        c.await_served()
        c.start_streams(self.args.streams)
        self.work.start()
        self.faults.take("backup")
        self.faults.take("copy")
        self.begin = time.monotonic()
        plan = make_plan(self.args.seed, self.args.restores)
        for number, (kind, before_backup, before_death, pick, victim) in enumerate(plan, 1):
            if self.stopped.wait(before_backup):
                break
            self.settle()
            self.take(kind)
            self.stopped.wait(before_death)
            self.round(number, kind, pick, victim)
        self.settle()

    def take(self, kind):
        told = self.faults.take("copy" if kind == "copy" else "backup")
        if told.startswith("refused"):
            raise AssertionError(f"allot backup, though nothing is wrong: {told}")

    def settle(self):
        """Nothing is wrong, and doctor says so."""
        def well():
            self.doctor = self.cluster.doctor()
            return self.doctor[0] == 0 and not self.foreign()
        try:
            until(well, "doctor finds nothing wrong, and no node holds foreign work", 120)
        except AssertionError as error:
            raise AssertionError(f"{error}; it says {self.doctor[1]}") from None

    # -- one restore -----------------------------------------------------------------------------------------
    def round(self, number, kind, pick, victim):
        c, faults = self.cluster, self.faults
        witness = Witness(self, number)
        suitable = [b for b in faults.backups if b[0] == kind]
        chosen = suitable[int(pick * len(suitable))] if suitable else None
        if kind == "empty":
            chosen = ("empty", "", 0.0)
        # What dies with the head comes back with it.
        other = c.programs.get(victim)
        said_before = self.lines_of_foreign_work()
        begin = time.monotonic()
        if other:
            with other.lock:
                other.end(signal.SIGKILL)
        if kind == "kill":
            with c.head.lock:
                c.head.end(signal.SIGKILL)
                c.head.start()
            witness.goes_on()
            if (new := self.lines_of_foreign_work()[len(said_before):]):
                self.problems.append(f"round {number}: after a kill -9 of the head it says {new}")
        else:
            faults.put_back(*chosen)
            witness.is_foreign(said_before)
        faults.done["restores by " + kind if kind != "kill" else "plain kills of the head"] += 1
        if c.ask_until("/v1/deployments/chat") != 200:
            c.deploy(REPLICAS)
        c.await_served()
        self.new_work(number)
        old = f", {begin - chosen[2]:.1f} s old" if kind in ("backup", "copy") else ""
        self.say(f"{begin - self.begin:7.1f} s {number:3d} {kind} {victim}{old}; all as it should be "
                 f"{time.monotonic() - begin:.1f} s later")

    def ledger(self):
        with open(self.cluster.ledger) as file:
            text = file.read()
        return account.read_ledger(text[:text.rfind("\n") + 1])[0]

    def foreign(self):
        """Nodes that say that they hold foreign work, or None where nobody can be asked."""
        answer = self.cluster.get("/v1/nodes")
        return None if answer is None else {n["name"]: n["foreign"] for n in answer["nodes"] if n.get("foreign")}

    def lines_of_foreign_work(self):
        """What the head's log says of it: [(node, tasks, replicas)]"""
        with open(self.cluster.path("logs", "head.log"), errors="replace") as file:
            return [(m[1], int(m[2]), int(m[3])) for m in re.finditer(
                r"work of another life of the store node=(\S+) .*tasks=(\d+) replicas=(\d+)", file.read())]

    def new_work(self, number):
        """A job that is placed and ends, and a request at each gateway: no wedge."""
        s = Submission(f"p{number}", steps=1, code=0, tasks=1, restarts=0, cancel_after=0.0)
        with self.work.lock:
            self.work.submissions.append(s)
        assert self.work.submit_one(s)

        def ended():
            view = self.cluster.get(f"/v1/jobs/{s.id}")
            return view and view["job"]["phase"] == "finished"
        until(ended, f"{s.id} ({s.name}), submitted after restore {number}, ends", 60)
        now = time.monotonic()

        def answered():
            whole = {r["gateway"] for r in self.cluster.read_streams() if r["begin"] > now and r["ended"] == "whole"}
            return whole == set(GATEWAYS)
        until(answered, f"every gateway answers after restore {number}", 60, every=0.5)

    def repeat(self):
        return f"restores.py {self.args.bin_dir} --seed {self.args.seed} --restores {self.args.restores}"


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir")
    parser.add_argument("--restores", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--streams", type=int, default=4, help="model clients at each of two gateways (default 4)")
    parser.add_argument("--pause", type=float, default=1.0, help="factor on the pauses between submissions (default 1)")
    parser.add_argument("--folder", help="where the run's folder is made (default: the system's)")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a run that is well, too")
    args = parser.parse_args(argv)
    if not os.path.exists(os.path.join(args.bin_dir, "allot-scheduler")):
        parser.error("BIN_DIR is where the programs are, like build/dev/bin")
    print(f"seed={args.seed} restores={args.restores}", flush=True)
    try:
        run = Restores(args)
    except RunError as error:
        print(f"restores.py: {error}", file=sys.stderr)
        return 2
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: run.stopped.set())
    return run.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
