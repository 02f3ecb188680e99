"""The cluster of a chaos run: real programs on loopback with keys and tokens, whose links, disks and clocks can be
made to fail. Owns all that it starts and mounts, and takes it away in close(), whatever happened in between.

A Program is kept running, as systemd would keep it: one that ends by itself is started again half a second later,
and how it ended is remembered. `down()` keeps it from that for a while.

Disks: with root the state folders of scheduler and agents are each a tmpfs of DISK_MIB, which can be filled. Without
root they are folders, and `can_fill` is false. Syncs are slowed and clocks are set by libraries that are preloaded
(slow_disk.cc, libfaketime), never for tasks: an agent gives them an environment of their own.
"""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"
DISK_MIB = 64
LEASE = 8  # Shorter, a machine that is busy with other things loses nodes of its own.
NODES = ("n1", "n2", "n3")
GATEWAYS = ("g1", "g2")
PROGRAMS = ("head", *NODES, *GATEWAYS)
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)

POLICY = """name: chaos
queue: {algorithm: fifo}
routing: {algorithm: least_outstanding}
prices: {as_of: "2026-01-01", other_gpu_usd_per_hour: 1}
quarantine: {failures: 0}   # Tasks that the run kills accuse no device.
"""


class RunError(Exception):
    """What is needed is not here: no verdict on the product."""


def until(holds, what, seconds=180, every=0.1):
    """Waits for a condition; the time is one that only a broken program reaches."""
    end = time.monotonic() + seconds
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never came true within {seconds} s: {what}")
        time.sleep(every)


def processes(folder):
    """Pids of everything of this run, whoever started it: what has its folder in CHAOS_RUN, and programs of ours
    that were started with it."""
    found, word = [], folder.encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                mine = b"CHAOS_RUN=" + word + b"\0" in file.read()
            if not mine and name_of(entry).startswith("allot-"):
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    mine = word in file.read()
            with open(f"/proc/{entry}/stat") as file:
                state = file.read().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if mine and state not in "ZX":
            found.append(int(entry))
    return found


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def send(pid, sig):
    try:
        os.kill(pid, sig)
        return True
    except ProcessLookupError:
        return False


class Program:
    """One of ours, kept running."""

    def __init__(self, cluster, name, program):
        self.cluster, self.name = cluster, name
        self.folder = os.path.join(cluster.folder, name)
        self.state = os.path.join(self.folder, "state")
        self.argv = [os.path.join(cluster.bin, program), "--config", os.path.join(self.folder, "config.yaml")]
        self.process, self.wanted, self.again_at = None, False, 0.0
        self.lock = threading.RLock()  # Held by whoever keeps it from running.
        self.ends = []                 # (when, code) of ends that nobody asked for
        self.asked = set()             # pids that somebody killed
        self.down = []                 # (since, until) of times when it was not ready; the last may have no end yet

    def environment(self):
        preload = [self.cluster.slow_disk, *([FAKETIME] if self.cluster.can_fake_time else [])]
        return {**os.environ, "CHAOS_RUN": self.cluster.folder, "LD_PRELOAD": ":".join(preload),
                "CHAOS_DISK": os.path.join(self.folder, "disk"),
                "FAKETIME_TIMESTAMP_FILE": os.path.join(self.folder, "clock"), "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}

    def start(self):
        self._went_down()
        with open(os.path.join(self.cluster.folder, "logs", self.name + ".log"), "ab") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                                            env=self.environment(), start_new_session=True)

    def look(self):
        """Called ten times a second."""
        if not self.wanted or not self.lock.acquire(blocking=False):
            return
        try:
            if self.process is not None and (code := self.process.poll()) is not None:
                if self.process.pid not in self.asked:
                    self.ends.append((time.monotonic(), code))
                self.process, self.again_at = None, time.monotonic() + 0.5
                self._went_down()
            if self.process is None and time.monotonic() >= self.again_at:
                self.start()
            if self.down and not self.down[-1][1] and self.process is not None and (
                    self.addresses().get("pid") == str(self.process.pid)):
                self.down[-1] = (self.down[-1][0], time.monotonic())
        finally:
            self.lock.release()

    def _went_down(self):
        if not self.down or self.down[-1][1]:
            self.down.append((time.monotonic(), 0.0))

    def end(self, sig):
        """Gone when it returns; the lock must be held."""
        process = self.process
        if process is None:
            return
        self.asked.add(process.pid)
        self._went_down()
        send(process.pid, sig)
        send(process.pid, signal.SIGCONT)
        process.wait(60)
        self.process, self.again_at = None, 0.0

    def set(self, what, value):
        path = os.path.join(self.folder, what)
        new = f"{path}.{threading.get_ident()}"
        with open(new, "w") as file:
            file.write(f"{value}\n")
        os.rename(new, path)

    def addresses(self):
        """{} where it is not up."""
        try:
            with open(os.path.join(self.state, "addresses.yaml")) as file:
                return {k: v.strip().strip("'\"") for k, v in (line.split(":", 1) for line in file if ":" in line)}
        except OSError:
            return {}


class Relay:
    def __init__(self):
        # In a session of its own: an interrupt of the run ends its faults, not its links.
        self.process = subprocess.Popen([PYTHON, os.path.join(HERE, "relay.py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.lock = threading.Lock()

    def command(self, *words):
        with self.lock:
            self.process.stdin.write(" ".join(words) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline().split()
        if not answer or answer[0] != "ok":
            raise RunError(f"relay: {' '.join(words)}: {answer}")
        return answer[1:]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Cluster:
    def __init__(self, bin_dir, folder=None):
        self.bin = os.path.abspath(bin_dir)
        self.folder = tempfile.mkdtemp(prefix="allot-chaos-", dir=folder)
        self.slow_disk = os.path.join(self.bin, "libchaos_slow_disk.so")
        self.can_fill = os.geteuid() == 0
        self.can_fake_time = FAKETIME is not None
        self.mounts, self.programs, self.targets = [], {}, {}
        self.relay, self.streams = None, []
        self.closing = threading.Event()
        self.keeper = threading.Thread(target=self._keep, daemon=True)
        for name in ("logs", "shared", "backups", *PROGRAMS):
            os.makedirs(os.path.join(self.folder, name))
        self.ledger = self.write("ledger", "")
        try:
            self.relay = Relay()
            self._configure()
        except BaseException:
            self.close()
            raise

    # -- files -----------------------------------------------------------------------------------------------
    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
            file.write(text)
        return path

    def _tool(self, *argv):
        done = subprocess.run([os.path.join(self.bin, "allot"), *argv], capture_output=True, text=True)
        if done.returncode != 0:
            raise RunError(f"allot {' '.join(argv)}: {done.stderr}")
        return done.stdout.strip()

    def _configure(self):
        keys = {n: self._tool("keys", "new", self.path(n, "secret.key")) for n in PROGRAMS}
        allow = self.path("head", "allow.yaml")
        for name in (*NODES, *GATEWAYS):
            self._tool("keys", "enroll", allow, "--name", name, "--role", "agent" if name in NODES else "gateway",
                       "--public-key", keys[name])
        for name in GATEWAYS:
            shutil.copy(allow, self.path(name, "allow.yaml"))
        made = self._tool("keys", "token", self.path("head", "tokens.yaml"), "--name", "chaos", "--role", "admin")
        self.token = made.split()[-1]
        self.token_file = self.write("token", self.token + "\n", 0o600)
        for name in GATEWAYS:
            shutil.copy(self.path("head", "tokens.yaml"), self.path(name, "tokens.yaml"))
        self.write("head/policy.yaml", POLICY)
        self.write("head/config.yaml",
                   f"state_dir: state\nlisten: tcp://127.0.0.1:0\nhttp_listen: 127.0.0.1:0\nkey_file: secret.key\n"
                   f"allow_file: allow.yaml\ntokens_file: tokens.yaml\nlease: {LEASE}s\npolicy_file: policy.yaml\n"
                   f"checkpoint_root: {self.path('shared')}\nacknowledge_within: 15s\n")
        ports = {name: self.relay.command("route", name)[0] for name in (*NODES, *GATEWAYS, "g1-agents", "g2-agents")}
        self.targets = {name: (self.path("head"), "endpoint") for name in (*NODES, *GATEWAYS)}
        self.targets |= {f"{g}-agents": (self.path(g), "endpoint") for g in GATEWAYS}
        for name in GATEWAYS:
            self.write(f"{name}/config.yaml",
                       f"name: {name}\nstate_dir: state\nscheduler: tcp://127.0.0.1:{ports[name]}\n"
                       f"scheduler_public_key: '{keys['head']}'\nkey_file: secret.key\nallow_file: allow.yaml\n"
                       f"tokens_file: tokens.yaml\nlisten: tcp://127.0.0.1:0\n"
                       f"advertise: tcp://127.0.0.1:{ports[name + '-agents']}\nhttp_listen: 127.0.0.1:0\n")
        for name in NODES:
            self.write(f"{name}/config.yaml",
                       f"name: {name}\nstate_dir: state\nscheduler: tcp://127.0.0.1:{ports[name]}\n"
                       f"scheduler_public_key: '{keys['head']}'\nkey_file: secret.key\naddress: 127.0.0.1\n"
                       f"http_listen: 127.0.0.1:0\nusers: {{separation: 'off'}}\nlog_max: 4MiB\n"
                       f"devices: {{cpu: false, nvidia: false, emulated: [{{model: nvidia/h100-sxm-80g, count: 2}}]}}\n"
                       f"offer: {{cpus: '4', memory: 4GiB}}\n")
        for name in PROGRAMS:
            state = self.path(name, "state")
            os.makedirs(state)
            if self.can_fill and name not in GATEWAYS:
                done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0755", "chaos", state],
                                      capture_output=True, text=True)
                if done.returncode != 0:
                    self.can_fill = False  # A container without CAP_SYS_ADMIN.
                else:
                    self.mounts.append(state)
            program = "allot-scheduler" if name == "head" else "allot-gateway" if name in GATEWAYS else "allot-agent"
            self.programs[name] = Program(self, name, program)
            self.programs[name].set("disk", 0)
            self.programs[name].set("clock", "+0")

    # -- programs --------------------------------------------------------------------------------------------
    @property
    def head(self):
        return self.programs["head"]

    def up(self):
        for program in self.programs.values():
            program.wanted = True
        self.keeper.start()
        self.await_nodes()

    def _keep(self):
        known = {}
        while not self.closing.wait(0.1):
            for program in self.programs.values():
                program.look()
            for name, (folder, key) in self.targets.items():
                target = self.programs[os.path.basename(folder)].addresses().get(key, "")
                if target and known.get(name) != target:
                    known[name] = target
                    self.relay.command("to", name, target.removeprefix("tcp://"))

    def start_streams(self, workers):
        for name in GATEWAYS:
            with open(self.path(f"streams-{name}"), "ab") as out:
                self.streams.append(subprocess.Popen(
                    [PYTHON, os.path.join(HERE, "streams.py"), self.programs[name].state, name, self.token_file,
                     str(workers)], stdout=out, stderr=out, start_new_session=True))

    def end_streams(self):
        for process in self.streams:
            process.send_signal(signal.SIGTERM)
        for process in self.streams:
            if process.wait(400) != 0:
                raise AssertionError(f"streams.py ended with {process.returncode}; see streams-*")
        self.streams = []

    def read_streams(self):
        out = []
        for name in GATEWAYS:
            try:
                with open(self.path(f"streams-{name}")) as file:
                    out += [json.loads(line) for line in file if line.endswith("\n")]
            except FileNotFoundError:
                pass
        return out

    # -- people ----------------------------------------------------------------------------------------------
    def ask(self, method, path, body=None, headers=None, timeout=10):
        """(status, JSON); OSError where nobody answers."""
        http = self.head.addresses().get("http")
        if not http:
            raise ConnectionRefusedError("the scheduler has no address")
        request = urllib.request.Request(
            f"http://{http}{path}", method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return error.code, json.loads(text)
            except ValueError:
                return error.code, {"error": {"message": text.decode(errors="replace")}}
        except urllib.error.URLError as error:
            raise OSError(str(error)) from None
        except ValueError as error:
            raise OSError(f"half an answer: {error}") from None
        except Exception as error:  # http.client's, where an answer breaks off
            if isinstance(error, OSError) or type(error).__module__ == "http.client":
                raise OSError(str(error)) from None
            raise

    def text(self, path, timeout=30):
        http = self.head.addresses().get("http", "127.0.0.1:1")
        request = urllib.request.Request(f"http://{http}{path}", headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.read().decode(errors="replace")

    def get(self, path):
        """JSON, or None where it is not to be had now."""
        try:
            status, answer = self.ask("GET", path)
        except OSError:
            return None
        return answer if status == 200 else None

    def ask_until(self, path):
        """The status of an answer that is one: 200 or 404."""
        def answered():
            try:
                return (status := self.ask("GET", path)[0]) in (200, 404) and status
            except OSError:
                return False
        return until(answered, f"{path} is answered")

    def allot(self, *argv, timeout=120):
        http = self.head.addresses().get("http", "127.0.0.1:1")
        return subprocess.run([os.path.join(self.bin, "allot"), *argv], capture_output=True, text=True, timeout=timeout,
                              cwd=self.folder, env={**os.environ, "ALLOT_SERVER": f"http://{http}",
                                                    "ALLOT_TOKEN": self.token})

    def deploy(self, replicas, name="chat", more=()):
        """Until it is taken."""
        body = {"name": name, "command": [PYTHON, os.path.join(HERE, "model_server.py"), "{port}", *more],
                "environment": {"CHAOS_RUN": self.folder}, "resources": {"cpus": "0.1", "memory": "256MiB"},
                "health": {"restart_after": "20s", "start_timeout": "60s"}, "grace": "2s", "drain": "10s",
                "replicas": [{"device": {"kind": "GPU", "count": 1}, "count": replicas, "concurrency": 32}]}

        def taken():
            try:
                return self.ask("PUT", f"/v1/deployments/{name}", body)[0] == 200
            except OSError:
                return False
        until(taken, f"the deployment {name} is taken")

    def await_served(self, name="chat"):
        """Ready, and its view."""
        def serves():
            answer = self.get(f"/v1/deployments/{name}")
            return answer and answer["deployment"]["state"] == "ready" and answer["deployment"]
        return until(serves, f"the deployment {name} is ready")

    def undeploy(self, name):
        until(lambda: self.allot("undeploy", name).returncode in (0, 4), f"{name} is undeployed")

    def await_nodes(self):
        def ready():
            nodes = (self.get("/v1/nodes") or {}).get("nodes", [])
            return len(nodes) == len(NODES) and all(
                n["alive"] and not n["draining"] and not n.get("unfit") for n in nodes)
        until(ready, "all nodes are ready")

    def doctor(self):
        """(code, what it says); 0: nothing is wrong, 7: something is."""
        done = self.allot("doctor")
        return done.returncode, done.stdout + done.stderr

    # -- the end ---------------------------------------------------------------------------------------------
    def stop_programs(self):
        for program in self.programs.values():
            program.wanted = False
            with program.lock:
                program.end(signal.SIGTERM)

    def close(self):
        """Takes everything away but the folder."""
        self.closing.set()
        if self.keeper.ident is not None:
            self.keeper.join()
        for process in self.streams:
            process.kill()
            process.wait()
        for program in self.programs.values():
            program.wanted = False
            with program.lock:
                program.end(signal.SIGKILL)
        for _ in range(100):
            left = processes(self.folder)
            for pid in left:
                send(pid, signal.SIGKILL)
            if not left:
                break
            time.sleep(0.1)
        if self.relay is not None:
            self.relay.close()
        for state in self.mounts:
            subprocess.run(["umount", "-l", state], capture_output=True)
        self.mounts = []

    def keep_state(self):
        """State folders are on disks that close() unmounts: a copy of the small files, to look at afterwards."""
        for state in self.mounts:
            kept = os.path.join(os.path.dirname(state), "state-kept")
            shutil.copytree(state, kept, symlinks=True, dirs_exist_ok=True,
                            ignore=lambda folder, names: [n for n in names if n == "filled" or not (
                                os.path.isdir(os.path.join(folder, n)) or os.path.isfile(os.path.join(folder, n)))])

    def tails(self, lines=15):
        for name in sorted(os.listdir(self.path("logs"))):
            with open(self.path("logs", name), errors="replace") as file:
                last = file.readlines()[-lines:]
            sys.stderr.write(f"---- {name}\n" + "".join(last))
