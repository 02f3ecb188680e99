"""Does what a plan says: each fault in a thread of its own, which breaks something, waits and mends it."""
import collections
import glob
import os
import shutil
import signal
import threading
import time

from cluster import name_of, processes, send, until
from work import Restore


class Faults:
    """Counts what was done by kind; keeps what the account must know."""

    def __init__(self, cluster, work, say=print):
        self.cluster, self.work, self.say = cluster, work, say
        self.done = collections.Counter()
        self.left_out = collections.Counter()
        self.killed = set()        # pids of tasks
        self.filled = collections.defaultdict(list)  # program to (begin, end) of when its disk was full
        self.backups = []          # (kind, path, moment)
        self.problems = []
        self.threads = []
        self.mending = threading.Event()  # The plan is over: everything is mended at once.
        self.cut_by = collections.Counter()
        self.lock = threading.Lock()

    def begin(self, fault):
        thread = threading.Thread(target=self._run, args=(fault,), daemon=True)
        self.threads.append(thread)
        thread.start()

    def end(self):
        self.mending.set()
        for thread in self.threads:
            thread.join(300)
            if thread.is_alive():
                self.problems.append("a fault never came to its end")

    def _run(self, fault):
        try:
            said = getattr(self, "do_" + fault.kind)(fault)
        except Exception as error:  # noqa: BLE001: told at the end of the run
            self.problems.append(f"{fault}: {type(error).__name__}: {error}")
            return
        with self.lock:
            (self.left_out if said is None else self.done)[fault.kind] += 1
        self.say(f"{fault} {'- left out' if said is None else said}")

    def _wait(self, seconds):
        self.mending.wait(seconds)

    # -- programs --------------------------------------------------------------------------------------------
    def do_kill(self, f):
        program = self.cluster.programs[f.victim]
        with program.lock:
            program.end(signal.SIGKILL)
            self._wait(f.lasts)
        return ""

    def do_stop(self, f):
        process = self.cluster.programs[f.victim].process
        if process is None:
            return None
        send(process.pid, signal.SIGSTOP)
        self._wait(f.lasts)
        send(process.pid, signal.SIGCONT)
        return ""

    # -- what agents started ---------------------------------------------------------------------------------
    def _pick(self, pids, f):
        return sorted(pids)[int(f.pick * len(pids))] if pids else None

    def _children(self, name):
        return [p for p in processes(self.cluster.folder) if name_of(p).startswith(name)]

    def _servers(self):
        return [r["pid"] for d in (self.cluster.get("/v1/deployments") or {}).get("deployments", [])
                for r in d["replicas"] if r.get("pid")]

    def _signal(self, pid, f, stop):
        if pid is None or not send(pid, signal.SIGSTOP if stop else signal.SIGKILL):
            return None
        if stop:
            self._wait(f.lasts)
            send(pid, signal.SIGCONT)
        return f"pid {pid}"

    def do_kill_supervisor(self, f):
        return self._signal(self._pick(self._children("allot-superviso"), f), f, False)

    def do_stop_supervisor(self, f):
        return self._signal(self._pick(self._children("allot-superviso"), f), f, True)

    def do_kill_task(self, f):
        pid = self._pick(self._children("task.sh"), f)
        if pid is not None:
            self.killed.add(pid)
        return self._signal(pid, f, False)

    def do_stop_task(self, f):
        return self._signal(self._pick(self._children("task.sh"), f), f, True)

    def do_kill_server(self, f):
        return self._signal(self._pick(self._servers(), f), f, False)

    def do_stop_server(self, f):
        return self._signal(self._pick(self._servers(), f), f, True)

    # -- disks, clocks, links --------------------------------------------------------------------------------
    def do_fill_disk(self, f):
        if not self.cluster.can_fill:
            return None
        begin = time.monotonic()
        path = os.path.join(self.cluster.programs[f.victim].state, "filled")
        end = begin + f.lasts
        # Again and again: whoever gives room back does not get it.
        while not self.mending.is_set() and time.monotonic() < end:
            try:
                with open(path, "ab", buffering=0) as file:
                    block = b"\0" * 65536
                    while len(block) > 0:
                        try:
                            if file.write(block) < len(block):
                                break
                        except OSError:
                            block = block[:len(block) // 2]
            except OSError:
                pass  # Not even the file: it is full.
            self._wait(0.1)
        with self.lock:
            self.filled[f.victim].append((begin, time.monotonic()))
        if os.path.exists(path):
            os.unlink(path)
        return ""

    def do_slow_disk(self, f):
        program = self.cluster.programs[f.victim]
        program.set("disk", int(f.how.split()[0]))
        self._wait(f.lasts)
        program.set("disk", 0)
        return ""

    def do_clock(self, f):
        if not self.cluster.can_fake_time:
            return None
        program = self.cluster.programs[f.victim]
        program.set("clock", f.how)
        self._wait(f.lasts)
        program.set("clock", "+0")
        return ""

    def do_cut(self, f):
        with self.lock:
            self.cut_by[f.victim] += 1
        self.cluster.relay.command("cut", f.victim, f.how)
        self._wait(f.lasts)
        with self.lock:
            self.cut_by[f.victim] -= 1
            last = self.cut_by[f.victim] == 0
        if last:
            self.cluster.relay.command("heal", f.victim)
        return ""

    # -- stores ----------------------------------------------------------------------------------------------
    def do_backup(self, f):
        return self.take(f.how)

    def take(self, kind):
        """A backup of the running store, or a copy of its folder while nobody has it. The newest twenty are kept."""
        c = self.cluster
        with self.lock:
            path = c.path("backups", f"{kind}-{time.monotonic_ns()}")
        moment = time.monotonic()
        if kind == "backup":
            with c.head.lock:  # Nobody puts another store in its place meanwhile; it may run or not.
                moment = time.monotonic()
                done = c.allot("backup", "--to", path, "--store", c.head.state)
            if done.returncode != 0:
                if "full" in done.stderr or "lock" in done.stderr or "busy" in done.stderr or done.returncode == 5:
                    return f"refused: {done.stderr.strip()[:100]}"
                raise AssertionError(f"allot backup: {done.returncode}: {done.stderr}")
        else:
            with c.head.lock:
                c.head.end(signal.SIGKILL)
                moment = time.monotonic()
                shutil.copytree(c.head.state, path, ignore=shutil.ignore_patterns("filled", "addresses.yaml", "replaced-*"))
        with self.lock:
            self.backups.append((kind, path, moment))
            while len(self.backups) > 20:
                _, old, _ = self.backups.pop(0)
                shutil.rmtree(old) if os.path.isdir(old) else os.unlink(old)
        return kind

    def do_restore(self, f):
        with self.lock:
            if not self.backups:
                return None
            kind, path, moment = self.backups[int(f.pick * len(self.backups))]
        restored = self.put_back(kind, path, moment)
        return f"{kind}, {restored.down_at - moment:.1f} s old"

    def put_back(self, kind, path, moment):
        """The head is killed, its store put back to what it was, and the head started. `empty` needs no path."""
        c, head = self.cluster, self.cluster.head
        with head.lock:
            head.end(signal.SIGKILL)
            restore = Restore(kind, moment, time.monotonic())
            self.work.restores.append(restore)
            if kind == "backup":
                last = []

                def restored():
                    done = c.allot("restore", path, "--store", head.state)
                    last[:] = [f"{done.returncode}: {done.stderr.strip()}"]
                    return done.returncode == 0
                # A full disk holds it up until that fault is over; it then leaves what was there, or is run again.
                try:
                    until(restored, "the backup is put back", 60, every=0.5)
                except AssertionError as error:
                    raise AssertionError(f"{error}; the last said {last}") from None
                for old in glob.glob(os.path.join(head.state, "replaced-*")):
                    shutil.rmtree(old)
            else:
                for name in os.listdir(head.state):
                    old = os.path.join(head.state, name)
                    if name != "filled":
                        shutil.rmtree(old) if os.path.isdir(old) else os.unlink(old)
                if kind == "copy":
                    # As above: what is not whole is no copy.
                    def copied():
                        try:
                            shutil.copytree(path, head.state, dirs_exist_ok=True)
                            return True
                        except (OSError, shutil.Error):
                            return False
                    until(copied, "the folder is put back", 60, every=0.5)
            restore.up_at = time.monotonic()
            head.start()
        return restore


def unexpected_ends(cluster, faults):
    """Programs that ended though nobody ended them. A full disk may end one that starts (exit code 5, or 1 with a
    reason in its log); a signal never may."""
    problems = []
    for program in cluster.programs.values():
        for at, code in program.ends:
            full = any(begin <= at <= end + 3 for begin, end in faults.filled.get(program.name, []))
            if not (full and code in (1, 5)):
                problems.append(f"{program.name} ended with {code}, and nobody ended it; its disk was "
                                + ("full" if full else "not full"))
    return problems
