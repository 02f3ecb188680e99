"""Machines for tests: each a network namespace with processes, a hostname, /run, /etc/hosts and a boot id
of its own, joined by net_switch, which delays, loses, limits, cuts and translates (switch/switch_main.cc).

A Lab owns everything it makes and takes it away in close(), whatever happened in between. Needs root.
Nothing leaves the machine: addresses are 10.77.0.N and fd77::N inside namespaces that have no way out.
"""
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time

NETWORK = "10.77.0"
NETWORK_V6 = "fd77:"


class LabError(Exception):
    """The lab itself could not do what was asked: no verdict on the product."""


class Stop:
    """True once somebody wants a long run to end: SIGTERM, SIGINT."""

    def __init__(self):
        self.said = False
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._say)

    def _say(self, *_):
        self.said = True

    def __bool__(self):
        return self.said


def run(*argv, check=True, **kwargs):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, **kwargs)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(map(str, argv))}: exit {done.returncode}: {done.stderr.strip()}")
    return done


def until(holds, what, seconds=60, every=0.05):
    """Waits for a condition; the time is one that only a broken program reaches."""
    end = time.monotonic() + seconds
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"never came true within {seconds} s: {what}")
        time.sleep(every)


def new_boot_id():
    h = secrets.token_hex(16)
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


class Machine:
    def __init__(self, lab, name, number):
        self.lab, self.name, self.number = lab, name, number
        self.address = f"{NETWORK}.{number}"
        self.address_v6 = f"{NETWORK_V6}:{number:x}"
        self.folder = os.path.join(lab.folder, name)
        self.namespace = f"{lab.id}-{name}"
        self.holder = self.init = None
        self.processes = []
        for sub in ("run", "etc", "state"):
            os.makedirs(os.path.join(self.folder, sub))
        # As Debian's installer leaves it: the machine's own name is a loopback address.
        self.write("etc/hosts", f"127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n::1\tlocalhost ip6-localhost ip6-loopback\n")
        run("ip", "netns", "add", self.namespace)
        self.ip("link", "set", "lo", "up")
        lab.command(f"port {name} /run/netns/{self.namespace} eth0 02:77:00:00:00:{number:02x}")
        self.ip("link", "set", "eth0", "address", f"02:77:00:00:00:{number:02x}")
        self.ip("addr", "add", f"{self.address}/24", "dev", "eth0")
        # nodad: an address that is still being looked for elsewhere cannot be bound.
        self.ip("addr", "add", f"{self.address_v6}/64", "dev", "eth0", "nodad")
        self.ip("link", "set", "eth0", "up")
        self.boot()

    def ip(self, *words):
        return run("ip", "-n", self.namespace, *words)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, text, mode=0o644):
        file = self.path(name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as out:
            out.write(text)
        return file

    def boot(self):
        self.write("etc/boot_id", new_boot_id() + "\n")
        here = os.path.dirname(os.path.abspath(__file__))
        script = (
            f"hostname {self.name} && mount --bind {self.path('etc/hosts')} /etc/hosts && "
            f"mount --bind {self.path('etc/boot_id')} /proc/sys/kernel/random/boot_id && "
            f"mount --bind {self.path('run')} /run && exec /usr/bin/python3 {here}/machine_init.py")
        self.holder = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.namespace}", "unshare", "--mount", "--pid", "--uts", "--ipc",
             "--fork", "--kill-child=KILL", "--mount-proc", "sh", "-c", script],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True)
        if self.holder.stdout.readline() != b"up\n":
            raise LabError(f"{self.name} does not come up; namespaces need root")
        children = f"/proc/{self.holder.pid}/task/{self.holder.pid}/children"
        with open(children) as file:
            self.init = int(file.read().split()[0])

    def power_off(self):
        """All its processes at once, and what a reboot forgets."""
        os.kill(self.init, signal.SIGKILL)
        self.holder.wait()
        for process in self.processes:
            process.wait()
        self.processes = []
        shutil.rmtree(self.path("run"))
        os.makedirs(self.path("run"))

    def forget(self):
        """A new disk: the state folder of its programs is gone as well."""
        shutil.rmtree(self.path("state"))
        os.makedirs(self.path("state"))

    def reboot(self):
        self.power_off()
        self.boot()

    def inside(self, argv):
        return ["nsenter", f"--target={self.init}", "--net", "--pid", "--mount", "--uts", "--ipc", "--wd=/",
                "--"] + [str(a) for a in argv]

    def run(self, *argv, check=True, env=None, timeout=120, cwd=None, input=None):
        words = ["/usr/bin/env"] + (["-C", cwd] if cwd else []) + [f"{k}={v}" for k, v in (env or {}).items()]
        return run(*self.inside(words + list(argv)), check=check, timeout=timeout, input=input)

    def start(self, name, *argv, env=None):
        """A program that goes on; its output in NAME.log. The Popen is nsenter's."""
        words = ["/usr/bin/env"] + [f"{k}={v}" for k, v in (env or {}).items()] + list(argv)
        with open(self.path(name + ".log"), "ab") as log:
            process = subprocess.Popen(self.inside(words), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                       start_new_session=True)
        process.log = self.path(name + ".log")
        self.processes.append(process)
        return process

    def pids(self, word):
        """Host pids of this machine's processes whose command line holds the word."""
        mine = os.readlink(f"/proc/{self.init}/ns/pid")
        out = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                if os.readlink(f"/proc/{entry}/ns/pid") != mine:
                    continue
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    if word.encode() in file.read():
                        out.append(int(entry))
            except OSError:
                continue
        return out

    def kill(self, word, sig=signal.SIGKILL):
        killed = self.pids(word)
        for pid in killed:
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass
        return killed


class Lab:
    def __init__(self, bin_dir, seed=1, keep=False):
        self.bin, self.keep = os.path.abspath(bin_dir), keep
        self.id = f"allot{os.getpid()}"
        self.folder = tempfile.mkdtemp(prefix="allot-lab-")
        self.machines = {}
        self.switch = subprocess.Popen([os.path.join(self.bin, "net_switch"), str(seed)], text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close(failed=kind is not None)

    def program(self, name):
        return os.path.join(self.bin, name)

    def command(self, line):
        self.switch.stdin.write(line + "\n")
        self.switch.stdin.flush()
        answer = self.switch.stdout.readline().strip()
        if not answer.startswith("ok"):
            raise LabError(f"switch: {line}: {answer or 'it has ended'}")
        return answer

    def machine(self, name):
        made = Machine(self, name, len(self.machines) + 1)
        self.machines[name] = made
        return made

    def cut(self, a, b="*"):
        self.command(f"cut {a} {b}")

    def heal(self, a="*", b="*"):
        self.command(f"heal {a} {b}")

    def path(self, a, b, **settings):
        self.command(f"path {a} {b} " + " ".join(f"{k}={v}" for k, v in settings.items()))

    def lost(self):
        """Frames that have not arrived so far."""
        return int(self.command("counts").split()[2])

    def close(self, failed=False):
        for machine in self.machines.values():
            try:
                machine.power_off()
            except (OSError, TypeError):
                pass
        self.switch.stdin.close()
        self.switch.wait()
        for machine in self.machines.values():
            run("ip", "netns", "delete", machine.namespace, check=False)
        if self.keep or failed:
            print(f"logs and state: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def loads(text, what):
    try:
        return json.loads(text)
    except ValueError as error:
        raise AssertionError(f"{what} is not JSON ({error}): {text[:300]!r}") from None
