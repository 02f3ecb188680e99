#!/usr/bin/python3
"""The account notices what is wrong: one history that is right, and each way in which it may not be."""
import os
import subprocess
import unittest

import account
from account import Account, Line, read_ledger
from plan import DECK, make_plan
from work import Restore, Submission

HERE = os.path.dirname(os.path.abspath(__file__))


def submission(**more):
    given = {"name": "a", "steps": 1, "code": 0, "tasks": 1, "restarts": 0, "cancel_after": 0.0, "id": "job-1",
             "asked_at": 9.0, "acknowledged_at": 10.0}
    return Submission(**{**given, **more})


def view(**more):
    return {"name": "a", "phase": "finished", "outcome": "succeeded", "attempt": 1, "message": "", "code": 0, **more}


def line(what, **more):
    given = {"what": what, "at": 11.0, "name": "a", "job": "job-1", "attempt": 1, "rank": 0, "pid": 7, "node": "n1",
             "process": "job-1.0.1.f", "more": "-"}
    return Line(**{**given, **more})


RUN = (line("start"), line("end", at=12.0))


class Jobs(unittest.TestCase):
    def check(self, said="", s=None, views=None, ledger=RUN, restores=(), killed=(), finished=None,
              pids=None):
        found = Account([s or submission()], {"job-1": view()} if views is None else views, list(ledger), list(restores),
                        set(killed), finished or {}, pids or {}).run()
        if not said:
            self.assertEqual(found, [])
        else:
            self.assertTrue(any(said in p for p in found), found)

    def test_what_is_right_is_right(self):
        self.check(finished={("job-1", "a"): (13.0, "succeeded")})

    def test_never_acknowledged(self):
        self.check("never acknowledged", s=submission(id=""), ledger=())

    def test_lost(self):
        self.check("is gone", views={})
        self.check("is gone", views={}, restores=[Restore("backup", 10.5, 11.0, 12.0)])
        self.check(views={}, restores=[Restore("backup", 9.5, 11.0, 12.0)])

    def test_number_of_another(self):
        b = {"job-1": view(name="b")}
        self.check("is b's", views=b)
        self.check("after a restore it is b's", views=b, restores=[Restore("backup", 9.5, 11.0, 12.0)])
        self.check(views=b, restores=[Restore("copy", 9.5, 11.0, 12.0)])

    def test_not_ended(self):
        self.check("has not ended", views={"job-1": view(phase="pending")})

    def test_success_without_a_success(self):
        self.check("no success", ledger=RUN[:1])
        self.check("no success", ledger=())
        self.check("no success", ledger=[line("start", attempt=2), line("end", attempt=2)])
        self.check("its task 1 never ended", s=submission(tasks=2))
        self.check("exits with 3 and succeeded", s=submission(code=3))

    def test_failures(self):
        failed = {"job-1": view(outcome="failed", message="exit code 137", code=137)}
        self.check("nobody killed its program", views=failed)
        self.check(views=failed, killed=[7])
        self.check("does not say why", views={"job-1": view(outcome="failed", code=137)}, killed=[7])
        three = submission(code=3)
        self.check(s=three, views={"job-1": view(outcome="failed", message="exit code 3", code=3)})
        self.check("told is 1", s=three, views={"job-1": view(outcome="failed", message="exit code 1", code=1)})
        self.check("ended as timed_out", views={"job-1": view(outcome="timed_out")})

    def test_cancelled(self):
        gone = {"job-1": view(outcome="cancelled")}
        self.check("nobody cancelled it", views=gone)
        self.check(s=submission(cancelled_at=11.0), views=gone)

    def test_begins_after_its_end(self):
        again = [*RUN, line("start", attempt=2, at=20.0, process="job-1.0.2.f", pid=8)]
        self.check("had ended", ledger=again, finished={("job-1", "a"): (13.0, "succeeded")})
        self.check("attempt 2 ran, the last was 1", ledger=again)
        self.check(ledger=again, finished={("job-1", "a"): (13.0, "succeeded")},
                   restores=[Restore("backup", 12.5, 14.0, 15.0)])
        # A node that had not heard of the restore, and one that had.
        late = [*RUN, line("start", attempt=2, at=20.0, process="job-1.0.2.f", pid=8)]
        new = [*RUN, line("start", attempt=2, at=20.0, process="job-1.0.2.e", pid=8)]
        told = {("job-1", "a"): (16.0, "succeeded")}
        self.check(ledger=late, finished=told, restores=[Restore("backup", 12.5, 14.0, 15.0)])
        self.check("had ended", ledger=new, finished=told, restores=[Restore("backup", 12.5, 14.0, 15.0)])

    def test_processes(self):
        self.check("first start", ledger=[line("start"), line("start"), line("end")])
        self.check("first start", ledger=[*RUN, line("end")])
        self.check("first end", ledger=[line("end")])
        self.check("pid 8", ledger=[line("start"), line("end", pid=8)])
        self.check("whom nobody submitted", ledger=[*RUN, line("start", name="x", process="p")])
        self.check("which was told job-1", ledger=[*RUN, line("start", job="job-2", process="p")])
        self.check(pids={("job-1", "a", 1, 0): {7}, ("job-1", "a", 2, 0): {9}})
        self.check("told are pids {8}", pids={("job-1", "a", 1, 0): {8}})
        self.check("checkpoint of b", ledger=[RUN[0], line("alien", more="b"), RUN[1]])

    def test_ledger(self):
        self.assertEqual(read_ledger("start 1.5 a job-1 1 0 7 n1 p -\n"), ([line("start", at=1.5, process="p")], []))
        self.assertIn("no line of ours", read_ledger("start 1.5 a job-1\n")[1][0])

    def test_logs(self):
        self.assertEqual(account.log("a", "succeeded", "line of a: start\nline of a: end\n", False), [])
        self.assertIn("line of b", account.log("a", "failed", "line of b: start\n", True)[0])
        self.assertIn("lacks its end", account.log("a", "succeeded", "line of a: start\n", False)[0])
        self.assertEqual(account.log("a", "succeeded", "line of a: start\n", True), [])


class Streams(unittest.TestCase):
    def found(self, ended, down=(), why=""):
        r = {"id": "g1-0-1", "gateway": "g1", "begin": 10, "end": 12, "stream": True, "events": 3, "wanted": 5,
             "ended": ended, "why": why}
        return account.streams([r], {"g1": list(down)})[0]

    def test_ends(self):
        self.assertEqual(self.found("whole"), [])
        self.assertEqual(self.found("error", why="replica failed"), [])
        for bad in ("short", "mixed", "hung", "error", "cut", "refused", ""):
            self.assertEqual(len(self.found(bad)), 1, bad)
        for when in ("cut", "refused"):
            for down in ((11, 11.5), (1, 8.5), (13, 0)):
                self.assertEqual(self.found(when, [down]), [])
            for down in ((20, 21), (1, 7), (20, 0)):
                self.assertEqual(len(self.found(when, [down])), 1)
        self.assertEqual(len(self.found("short", [(11, 12)])), 1)


class Plans(unittest.TestCase):
    def test_is_a_function_of_the_seed(self):
        self.assertEqual(make_plan(7, 300), make_plan(7, 300))
        self.assertNotEqual(make_plan(7, 300), make_plan(8, 300))
        self.assertEqual(make_plan(7, 60), [f for f in make_plan(7, 300) if f.at < 60])

    def test_holds_every_kind(self):
        self.assertEqual({f.kind for f in make_plan(1, 60)}, set(DECK))


class Tasks(unittest.TestCase):
    def test_says_what_it_finds(self):
        import tempfile
        with tempfile.TemporaryDirectory() as folder:
            ledger = os.path.join(folder, "ledger")
            env = {"ALLOT_JOB_ID": "job-1", "ALLOT_ATTEMPT": "1", "ALLOT_TASK_RANK": "0", "ALLOT_NODE": "n1",
                   "ALLOT_SCRATCH_DIR": "/x/job-1.0.1.f", "ALLOT_CHECKPOINT_DIR": folder, "PATH": os.environ["PATH"]}

            def task(name, code):
                done = subprocess.run([os.path.join(HERE, "task.sh"), ledger, name, "1", str(code)], env=env,
                                      capture_output=True, text=True)
                self.assertEqual(done.returncode, code, done.stderr)
                return done.stdout
            said = task("a", 0)
            self.assertEqual(account.log("a", "succeeded", said, False), [])
            task("b", 3)
            with open(ledger) as file:
                lines, problems = read_ledger(file.read())
            self.assertEqual(problems, [])
            self.assertEqual([(x.what, x.name, x.more) for x in lines],
                             [("start", "a", "-"), ("end", "a", "0"), ("start", "b", "-"), ("alien", "b", "a"),
                              ("alien", "b", "a"), ("end", "b", "3")])


unittest.main()
