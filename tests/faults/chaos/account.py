"""The account of a chaos run: every job, attempt and stream, from what was told to people, what the scheduler says at
the end, and what processes wrote themselves. Pure: account_test.py gives it histories that are wrong.

What must hold:
- a job that was acknowledged is there at the end, unless the store was put back to a moment before that;
- it has ended, rightly (what its program exits with, or cancelled where somebody cancelled it) or with a reason, and
  a reason is only taken where the run killed its program;
- success is claimed only where each task wrote that it ended, under that very name, number and attempt; and the
  last attempt of a job does not begin after its end was told;
- a process is started once; it is of a job that was acknowledged under that number; the scheduler knows of its attempt,
  and the pid that it tells is that process's;
- no task found a checkpoint of another job, no log holds another job's lines;
- no stream ended silently short, hung, or held another's bytes; none was refused or broke without a word unless its
  gateway was down.
"""
import collections
import dataclasses

NEVER = ("short", "mixed", "hung")


@dataclasses.dataclass(frozen=True)
class Line:
    """One of the ledger: `what` is start, end, or alien."""
    what: str
    at: float
    name: str
    job: str
    attempt: int
    rank: int
    pid: int
    node: str
    process: str
    more: str


def read_ledger(text):
    lines, problems = [], []
    for number, raw in enumerate(text.splitlines(), 1):
        words = raw.split()
        try:
            what, at, name, job, attempt, rank, pid, node, process, more = words
            lines.append(Line(what, float(at), name, job, int(attempt), int(rank), int(pid), node, process, more))
        except ValueError:
            problems.append(f"line {number} of the ledger is no line of ours: {raw[:200]!r}")
    return lines, problems


def turned_back(restores, since):
    """Was the store put back, later, to a moment before `since`?"""
    return any(r.moment < since <= (r.up_at or r.down_at) for r in restores)


class Account:
    def __init__(self, submissions, views, ledger, restores, killed, finished, pids):
        """`views`: id to what the API says at the end, or None; `killed`: pids of tasks that the run killed;
        `finished`: (id, name) to (when people first saw its end, outcome); `pids`: (id, name, attempt, rank) to the
        pids that people were told."""
        self.submissions, self.views, self.ledger = submissions, views, ledger
        self.restores, self.killed, self.finished, self.pids = restores, killed, finished, pids
        self.problems, self.figures = [], collections.Counter()
        self.by_process = collections.defaultdict(list)
        self.of_job = collections.defaultdict(list)
        self.lives = {}   # the store's, which names of processes end in: when it was first seen
        for line in ledger:
            self.by_process[line.process].append(line)
            self.of_job[line.job, line.name].append(line)
            self.lives.setdefault(line.process.rsplit(".", 1)[-1], line.at)

    def run(self):
        for s in self.submissions:
            self.job(s)
        for process, lines in self.by_process.items():
            self.attempt(process, lines)
        self.told_pids()
        return self.problems

    def problem(self, text):
        self.problems.append(text)

    # -- jobs ------------------------------------------------------------------------------------------------
    def job(self, s):
        if not s.id:
            self.problem(f"{s.name} was never acknowledged")
            return
        self.figures["jobs acknowledged"] += 1
        lost = turned_back(self.restores, s.acknowledged_at)
        view = self.views.get(s.id)
        if view is None or view.get("name") != s.name:
            if not lost:
                self.problem(f"{s.id} ({s.name}) was acknowledged and is "
                             + ("gone" if view is None else f"{view.get('name')}'s"))
            elif view is not None and all(r.kind == "backup" for r in self.restores):
                self.problem(f"{s.id} was {s.name}'s, and after a restore it is {view.get('name')}'s")
            else:
                self.figures["jobs gone with a store"] += 1
            return
        if view["phase"] != "finished":
            self.problem(f"{s.id} ({s.name}) has not ended: {view['phase']}, attempt {view['attempt']}")
            return
        self.figures[f"jobs {view['outcome']}"] += 1
        self.outcome(s, view)
        self.after_the_end(s, view)

    def outcome(self, s, view):
        where = f"{s.id} ({s.name}), attempt {view['attempt']}"
        lines = [x for x in self.of_job[s.id, s.name] if x.attempt == view["attempt"]]
        if view["outcome"] == "succeeded":
            if s.code != 0:
                self.problem(f"{where} exits with {s.code} and succeeded")
            for rank in range(s.tasks):
                if not any(x.what == "end" and x.rank == rank for x in lines):
                    self.problem(f"{where} succeeded, and its task {rank} never ended: no success")
        elif view["outcome"] == "cancelled":
            if not s.cancelled_at:
                self.problem(f"{where} is cancelled, and nobody cancelled it")
        elif view["outcome"] == "failed":
            killed = [x for x in lines if x.pid in self.killed]
            if not view.get("message"):
                self.problem(f"{where} failed and does not say why")
            if killed:
                self.figures["jobs failed whose program was killed"] += 1
            elif s.code == 0:
                self.problem(f"{where} failed, and nobody killed its program: {view.get('message')}")
            elif view.get("code") != s.code:
                self.problem(f"{where} exits with {s.code}; told is {view.get('code')}: {view.get('message')}")
        else:
            self.problem(f"{where} ended as {view['outcome']}: {view.get('message')}")

    def after_the_end(self, s, view):
        known = [x for x in self.of_job[s.id, s.name] if x.what == "start"]
        ended = self.finished.get((s.id, s.name))
        if ended and view["outcome"] != "cancelled" and not turned_back(self.restores, ended[0]):
            for x in known:
                # An attempt that was given up with its node may begin as late as that node comes round to it. So may the
                # last one of a job that was cancelled meanwhile.
                if x.at > ended[0] and x.attempt >= view["attempt"] and not self.foreign(x, ended[0]):
                    self.problem(f"{s.id} ({s.name}) had ended at {ended[0]:.2f}, and attempt {x.attempt} began at {x.at:.2f}")
        if not turned_back(self.restores, s.acknowledged_at) and not any(
                r.down_at > s.acknowledged_at for r in self.restores):
            for x in known:
                if x.attempt > view["attempt"]:
                    self.problem(f"{s.id} ({s.name}): attempt {x.attempt} ran, the last was {view['attempt']}")

    def foreign(self, line, ended):
        """Was its name given in a life of the store that a restore had ended before the job's end was told? A node that
        has not heard of the new life yet starts what the old one told it."""
        life = line.process.rsplit(".", 1)[1]
        return any(self.lives[life] < r.up_at and r.down_at <= ended for r in self.restores)

    # -- attempts --------------------------------------------------------------------------------------------
    def attempt(self, process, lines):
        self.figures["attempts started"] += 1
        first = lines[0]
        what = collections.Counter(x.what for x in lines)
        for x in lines:
            if (x.name, x.job, x.attempt, x.rank, x.pid) != (first.name, first.job, first.attempt, first.rank, first.pid):
                self.problem(f"process {process} is of {first.job} ({first.name}) pid {first.pid} and of {x.job} ({x.name}) "
                             f"pid {x.pid}")
        for x in lines:
            if x.what == "alien":
                self.problem(f"{x.job} ({x.name}), attempt {x.attempt} on {x.node} found a checkpoint of {x.more}")
        if first.what != "start" or what["start"] != 1 or what["end"] > 1:
            self.problem(f"process {process} of {first.job} ({first.name}): {dict(what)}, first {first.what}")
        self.figures["attempts ended by themselves"] += what["end"]
        told = {s.id: s for s in self.submissions if s.name == first.name}
        if not told:
            self.problem(f"process {process} is of {first.name}, whom nobody submitted")
        elif first.job not in told and not self.restores:
            self.problem(f"process {process}: {first.job} of {first.name}, which was told {', '.join(told)}")

    def told_pids(self):
        """What people are told runs is what says that it does. One that was killed before its first line says nothing."""
        wrote = collections.defaultdict(set)
        for x in self.ledger:
            wrote[x.job, x.name, x.attempt, x.rank].add(x.pid)
        for key, pids in self.pids.items():
            if wrote[key] and not pids <= wrote[key]:
                self.problem(f"{key[0]} ({key[1]}), attempt {key[2]}, task {key[3]}: told are pids {pids}, it was {wrote[key]}")
            self.figures["attempts whose process was told"] += bool(wrote[key])



def streams(results, down):
    """`down`: gateway to (since, until) of when it was not ready. Problems, and figures."""
    problems, figures = [], collections.Counter()
    for r in results:
        figures[f"streams {r['ended']}" if r["stream"] else f"requests {r['ended']}"] += 1
        was_down = any(r["begin"] - 2 <= (until or r["end"]) and since <= r["end"] + 2
                       for since, until in down.get(r["gateway"], []))
        if r["ended"] in NEVER or not r["ended"]:
            problems.append(f"{r['id']} ended {r['ended']!r}: {r['why']} ({r['events']} of {r['wanted']} events)")
        elif r["ended"] in ("cut", "refused") and not was_down:
            problems.append(f"{r['id']} was {r['ended']} after {r['events']} events, and its gateway lived: {r['why']}")
        elif r["ended"] == "error" and not r["why"]:
            problems.append(f"{r['id']} failed and does not say why")
    return problems, figures


def log(name, outcome, text, excused):
    """Of one job's log. `excused`: its node's disk was full, so that lines may be missing."""
    problems = []
    for line in text.splitlines():
        if line.startswith("line of ") and not line.startswith(f"line of {name}: "):
            problems.append(f"the log of {name} holds {line[:80]!r}")
    if outcome == "succeeded" and not excused and f"line of {name}: end" not in text:
        problems.append(f"the log of {name}, which succeeded, lacks its end: {text[-200:]!r}")
    return problems
