"""What a chaos cluster is busy with: people who submit, cancel and look at jobs, as long as they are let.

Everything that was said to them is kept, for the account (account.py): what was acknowledged and when, what they
cancelled, and whatever they saw that can never be right.
"""
import dataclasses
import os
import random
import threading
import time

from cluster import HERE

OPEN_MAX = 25


@dataclasses.dataclass
class Submission:
    name: str
    steps: int          # quarter seconds
    code: int           # what its tasks exit with
    tasks: int
    restarts: int
    cancel_after: float  # seconds after the acknowledgement; 0: never
    id: str = ""
    asked_at: float = 0.0
    acknowledged_at: float = 0.0
    cancelled_at: float = 0.0  # first asked for


@dataclasses.dataclass
class Restore:
    """The store went back to what it was at `moment`: what was acknowledged later may be gone."""
    kind: str            # backup, copy, empty
    moment: float        # begin of the backup; 0 of an emptied store
    down_at: float
    up_at: float = 0.0


def draw(rng, name):
    kind = rng.random()
    steps = 0 if kind < 0.4 else rng.randint(1, 16) if kind < 0.9 else rng.randint(16, 60)
    return Submission(name, steps, code=rng.choice([0] * 9 + [3]), tasks=2 if rng.random() < 0.1 else 1,
                      restarts=rng.choice([0, 3]), cancel_after=rng.uniform(0.1, 6) if rng.random() < 0.08 else 0.0)


class Work:
    def __init__(self, cluster, seed, pause, tellers=2):
        self.cluster, self.seed, self.pause = cluster, seed, pause
        self.lock = threading.Lock()
        self.submissions = []
        self.restores = []
        self.problems = []
        self.finished = {}     # (id, name): (when first seen, outcome)
        self.seen = {}         # (id, name): attempt
        self.pids = {}         # (id, name, attempt, rank): pids that were told
        self.ids = {}          # id: {name: when}, to whom it was given
        self.open_jobs = 0     # as the scheduler last said
        self.stopping = threading.Event()
        self.enough = threading.Event()
        self.threads = [threading.Thread(target=self._submit, args=(n,), daemon=True) for n in range(tellers)]
        self.threads += [threading.Thread(target=self._cancel, daemon=True), threading.Thread(target=self._look, daemon=True)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def no_more(self):
        """Nothing new; what is not acknowledged yet is asked for until it is."""
        self.enough.set()

    def stop(self):
        self.enough.set()
        self.stopping.set()
        for thread in self.threads:
            if thread.ident is not None:
                thread.join()

    def submitting(self):
        return any(t.is_alive() for t in self.threads[:-2])

    def problem(self, text):
        with self.lock:
            self.problems.append(text)

    def reused(self, since):
        """May a number that was given at `since` be given again? Only a folder put back by hand, or an emptied one, brings no
        word of the numbers that were given."""
        return any(r.kind != "backup" and (r.up_at or r.down_at) >= since for r in self.restores)

    def given(self, job_id, name, now):
        """Somebody is told that this number is his job's."""
        with self.lock:
            before = self.ids.setdefault(job_id, {})
            others = [(other, since) for other, since in before.items() if other != name and not self.reused(since)]
            before[name] = now
        for other, _ in others:
            self.problem(f"{job_id} was given to {other} and is given to {name}")

    # -- threads ---------------------------------------------------------------------------------------------
    def body(self, s):
        c = self.cluster
        return {"name": s.name, "command": [os.path.join(HERE, "task.sh"), c.ledger, s.name, str(s.steps), str(s.code)],
                "environment": {"CHAOS_RUN": c.folder}, "resources": {"cpus": "0.05", "memory": "16MiB"},
                "tasks": s.tasks, "grace": "1s", "restarts_max": s.restarts, "restart_pause": "0.2s"}

    def submit_one(self, s, give_up=None):
        """Until it is acknowledged."""
        s.asked_at = time.monotonic()
        while not self.stopping.is_set() and not (give_up and give_up()):
            try:
                status, answer = self.cluster.ask("POST", "/v1/jobs", self.body(s), {"Idempotency-Key": s.name})
            except OSError:
                status, answer = 0, {}
            if status in (200, 201):
                s.id, s.acknowledged_at = answer["job"]["id"], time.monotonic()
                self.given(s.id, s.name, s.acknowledged_at)
                return True
            if status not in (0, 429, 503):
                self.problem(f"submission of {s.name} is answered with {status}: {answer}")
                return False
            self.stopping.wait(0.2)
        return False

    def _submit(self, teller):
        rng, number = random.Random(f"work {self.seed} {teller}"), 0
        while not self.enough.is_set():
            # On a machine that is slow there is less to do at once, and as much to get wrong.
            if self.open_jobs > OPEN_MAX:
                self.enough.wait(0.5)
                continue
            number += 1
            s = draw(rng, f"j{teller}-{number}")
            with self.lock:
                self.submissions.append(s)
            self.submit_one(s)
            self.enough.wait(rng.uniform(0.2, 1.8) * self.pause)

    def _cancel(self):
        while not self.stopping.wait(0.1):
            now = time.monotonic()
            with self.lock:
                due = [s for s in self.submissions if s.cancel_after and s.acknowledged_at and
                       now >= s.acknowledged_at + s.cancel_after]
            for s in due:
                s.cancelled_at = s.cancelled_at or now
                try:
                    status, _ = self.cluster.ask("DELETE", f"/v1/jobs/{s.id}")
                except OSError:
                    continue
                if status in (200, 404, 412):
                    s.cancel_after = 0.0
                elif status not in (429, 503):
                    self.problem(f"cancelling {s.id} ({s.name}) is answered with {status}")
                    s.cancel_after = 0.0

    def _look(self):
        while not self.stopping.wait(0.7):
            counts = (self.cluster.get("/v1/cluster") or {}).get("jobs")
            if counts:
                self.open_jobs = counts["pending"] + counts["running"] + counts["stopping"]
            before = list(self.restores)
            page = self.cluster.get("/v1/jobs?limit=300")
            # What was asked before a restore may be answered after it: then it compares with neither.
            if page is None or list(self.restores) != before or any(not r.up_at for r in before):
                continue
            self.look(page["jobs"], time.monotonic())

    def look(self, jobs, now):
        last = max((r.down_at for r in self.restores), default=0.0)
        for job in jobs:
            key = (job["id"], job.get("name", ""))
            ended = self.finished.get(key)
            if ended and ended[0] > last and (job["phase"] != "finished" or job["outcome"] != ended[1]):
                self.problem(f"{key} had ended ({ended[1]}) and is {job['phase']} {job.get('outcome', '')}")
            if job["phase"] == "finished" and not (ended and ended[0] > last):
                self.finished[key] = (now, job["outcome"])
            attempt = self.seen.get(key)
            if attempt and attempt[1] > last and job["attempt"] < attempt[0]:
                self.problem(f"{key} was at attempt {attempt[0]} and is at {job['attempt']}")
            self.seen[key] = (job["attempt"], now)
            for task in job["tasks"]:
                if task.get("pid"):
                    self.pids.setdefault((*key, job["attempt"], task["rank"]), set()).add(task["pid"])
