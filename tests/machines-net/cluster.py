"""A real cluster on a Lab: a head, a gateway of its own, nodes and a client, with real keys and tokens.

Nothing is `local: true`: every address is one that another machine can dial, every link is encrypted, and
people come with a token from a machine of their own (over plain HTTP, which the configs allow: tests/deploy has TLS).
"""
import json
import os
import signal
import sys

from lab import Lab, loads, run, until

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"


class Cluster:
    def __init__(self, bin_dir, nodes=4, seed=1, keep=False, lease="15s", devices="nvidia/h100-sxm-80g", per_node=2,
                 policy=None):
        self.lab = Lab(bin_dir, seed, keep)
        self.devices, self.per_node = devices, per_node
        try:
            self.head = self.lab.machine("head")
            self.gateway = self.lab.machine("gateway")
            self.nodes = [self.lab.machine(f"n{i + 1}") for i in range(nodes)]
            self.client = self.lab.machine("client")
            self.shared = os.path.join(self.lab.folder, "shared")
            os.makedirs(self.shared)
            self._enroll(lease, policy)
        except BaseException:
            self.lab.close(failed=True)
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self.tails()
        self.lab.close(failed=kind is not None)

    # -- files -----------------------------------------------------------------------------------------------
    def _allot_here(self, *argv):
        return run(self.lab.program("allot"), *argv).stdout.strip()

    def _enroll(self, lease, policy):
        head, gateway = self.head, self.gateway
        keys = {m.name: self._allot_here("keys", "new", m.path("secret.key")) for m in [head, gateway, *self.nodes]}
        self.head_key = keys["head"]
        for machine, role in [(gateway, "gateway"), *((n, "agent") for n in self.nodes)]:
            self._allot_here("keys", "enroll", head.path("allow.yaml"), "--name", machine.name, "--role", role,
                             "--public-key", keys[machine.name])
        for node in self.nodes:
            self._allot_here("keys", "enroll", gateway.path("allow.yaml"), "--name", node.name, "--role", "agent",
                             "--public-key", keys[node.name])
        token = self._allot_here("keys", "token", head.path("tokens.yaml"), "--name", "operator", "--role", "admin")
        with open(head.path("tokens.yaml")) as file:
            gateway.write("tokens.yaml", file.read(), 0o600)
        self.token = token.split()[-1]
        self.token_file = self.client.write("token", self.token + "\n", 0o600)
        policy_line = ""
        if policy:
            head.write("policy.yaml", policy)
            policy_line = "policy_file: policy.yaml\n"
        head.write("scheduler.yaml",
                   f"state_dir: state\nlisten: tcp://{head.address}:7400\nhttp_listen: {head.address}:7401\n"
                   f"key_file: secret.key\nallow_file: allow.yaml\ntokens_file: tokens.yaml\nlease: {lease}\n"
                   "plain_tokens: true\n"
                   f"checkpoint_root: {self.shared}\n{policy_line}")
        gateway.write("gateway.yaml",
                      f"name: gateway\nstate_dir: state\nscheduler: tcp://{head.address}:7400\n"
                      f"scheduler_public_key: '{self.head_key}'\nkey_file: secret.key\nallow_file: allow.yaml\n"
                      f"tokens_file: tokens.yaml\nlisten: tcp://{gateway.address}:7410\n"
                      f"http_listen: {gateway.address}:7411\nplain_tokens: true\n")
        for node in self.nodes:
            self.write_agent(node)

    def write_agent(self, node, address=None, head=None, more=""):
        """`address` empty: left out of the config, so that the agent finds it, as it does for most people."""
        told = node.address if address is None else address
        address_line = f"address: '{told}'\n" if told else ""
        listen = "[::]" if address is not None else node.address
        node.write("agent.yaml",
                   f"name: {node.name}\nstate_dir: state\nscheduler: tcp://{head or self.head.address}:7400\n"
                   f"scheduler_public_key: '{self.head_key}'\nkey_file: secret.key\n"
                   f"{address_line}http_listen: '{listen}:7420'\nusers: {{separation: 'off'}}\n"
                   f"devices: {{cpu: false, nvidia: false, emulated: [{{model: {self.devices}, count: {self.per_node}}}]}}\n"
                   f"offer: {{cpus: '8', memory: 8GiB}}\n{more}")

    def add_agent_on_head(self, dials=None):
        """A node beside the scheduler, by the name that is loopback there (or `dials`); others know the head by it too."""
        head = self.head
        with open(head.path("scheduler.yaml")) as file:
            text = file.read().replace(f"listen: tcp://{head.address}:7400", "listen: tcp://0.0.0.0:7400")
        head.write("scheduler.yaml", text + f"advertise: ['tcp://{head.name}:7400']\n")
        public = self._allot_here("keys", "new", head.path("agent.key"))
        for machine in (head, self.gateway):
            self._allot_here("keys", "enroll", machine.path("allow.yaml"), "--name", head.name, "--role", "agent",
                             "--public-key", public)
        self.write_agent(head, address="", head=dials or head.name)
        with open(head.path("agent.yaml")) as file:
            text = file.read().replace("secret.key", "agent.key").replace("state_dir: state", "state_dir: state/agent")
        head.write("agent.yaml", text)
        self.nodes.append(head)

    # -- programs --------------------------------------------------------------------------------------------
    def start_scheduler(self):
        return self.head.start("scheduler", self.lab.program("allot-scheduler"), "--config", self.head.path("scheduler.yaml"))

    def start_gateway(self):
        return self.gateway.start("gateway", self.lab.program("allot-gateway"), "--config", self.gateway.path("gateway.yaml"))

    def start_agent(self, node):
        return node.start("agent", self.lab.program("allot-agent"), "--config", node.path("agent.yaml"))

    def up(self):
        self.start_scheduler()
        self.start_gateway()
        for node in self.nodes:
            self.start_agent(node)
        self.wait_nodes(len(self.nodes))

    def wait_nodes(self, count, seconds=60):
        def ready():
            answer = self.allot("nodes", "--json", check=False)
            if answer.returncode != 0:
                return False
            return sum(n["alive"] and not n["draining"] for n in loads(answer.stdout, "nodes")["nodes"]) == count
        until(ready, f"{count} nodes are ready", seconds)

    # -- what a person does from the client's machine ----------------------------------------------------------
    def allot(self, *argv, check=True, timeout=180, cwd=None):
        return self.client.run(self.lab.program("allot"), *argv, check=check, timeout=timeout, cwd=cwd or self.shared,
                               env={"ALLOT_SERVER": f"http://{self.head.address}:7401", "ALLOT_TOKEN": self.token,
                                    "ALLOT_PLAIN_TOKENS": "1"})

    def json(self, *argv):
        return loads(self.allot(*argv, "--json").stdout, "allot " + " ".join(argv))

    def submit(self, *argv):
        return self.allot("submit", *argv).stdout.split()[-1]

    def job(self, job_id):
        return self.json("job", job_id)["job"]

    def deploy(self, name="chat", replicas=1, kind="GPU", server=("stream",), more="", wait=True, devices=1):
        command = json.dumps([PYTHON, os.path.join(HERE, "model_server.py"), "{port}", *map(str, server)])
        file = self.client.write(f"{name}.yaml",
                                 f"name: {name}\ncommand: {command}\nresources: {{cpus: '0.1', memory: 64MiB}}\n"
                                 f"replicas: [{{device: {{kind: {kind}, count: {devices}}}, count: {replicas}, concurrency: 64}}]\n"
                                 f"work_dir: {self.shared}\n{more}")
        argv = ["deploy", file] + (["--wait", "--timeout", "90s"] if wait else [])
        self.allot(*argv)

    def tails(self, lines=15):
        for machine in self.lab.machines.values():
            for name in sorted(os.listdir(machine.folder)):
                if name.endswith(".log"):
                    with open(machine.path(name), errors="replace") as file:
                        last = file.readlines()[-lines:]
                    sys.stderr.write(f"---- {machine.name}/{name}\n" + "".join(last))


__all__ = ["Cluster", "HERE", "PYTHON", "signal"]
