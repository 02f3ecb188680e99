"""What must hold on several machines, a case a function; machines_net.py runs them by name."""
import json
import os
import time

from cluster import Cluster, HERE, PYTHON
from lab import loads, until

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


class Streams:
    """Streams that run on the client's machine beside whatever the case does."""

    def __init__(self, cluster, count, events, interval, name="streams"):
        self.count = count
        log = cluster.client.path(name + ".log")
        self.offset = os.path.getsize(log) if os.path.exists(log) else 0
        self.process = cluster.client.start(name, PYTHON, os.path.join(HERE, "streams.py"),
                                            f"http://{cluster.gateway.address}:7411", cluster.token_file, count, events,
                                            interval)
        self.events = events

    def lines(self):
        with open(self.process.log) as file:
            file.seek(self.offset)
            return [loads(line, "a line of streams.py") for line in file if line.endswith("\n")]

    def all_started(self):
        until(lambda: any(line.get("started") == self.count for line in self.lines()), f"{self.count} streams started")
        return self

    def ended(self):
        self.process.wait()
        return [line for line in self.lines() if "id" in line]

    def all_whole(self):
        ended = self.ended()
        broken = [s for s in ended if s["status"] != 200 or not s["done"] or s["events"] != self.events or s["error"]]
        assert len(ended) == self.count and not broken, f"{len(broken)} of {self.count} streams broke: {broken[:3]}"
        return ended


GANG = """
import os, socket, sys, time
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
steps = int(sys.argv[1])
if rank == 0:
    server = socket.create_server(("", port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    peers = [server.accept()[0] for _ in range(size - 1)]
    for step in range(steps):
        for p in peers: p.sendall(b"s")
        for p in peers: assert p.recv(1) == b"a"
        time.sleep(0.05)
else:
    while True:
        try: peer = socket.create_connection((host, port), timeout=5); break
        except OSError: time.sleep(0.1)
    peer.settimeout(None)
    for step in range(steps):
        if peer.recv(1) != b"s": sys.exit(3)
        peer.sendall(b"a")
print("gang", rank, "of", size, "attempt", os.environ["ALLOT_ATTEMPT"], "done", flush=True)
"""


def submit_gang(c, steps, tasks=None):
    script = os.path.join(c.shared, "gang.py")
    with open(script, "w") as out:
        out.write(GANG)
    return c.submit("--name", "gang", "--tasks", tasks or len(c.nodes), "--device", "kind=GPU,count=2", "--cpus", "0.1",
                    "--memory", "64MiB", "--", PYTHON, script, str(steps))


def running(c, job):
    answer = c.job(job)
    return answer if answer["phase"] == "running" else None


def doctor(c, *argv):
    """All of what it says, problems or not."""
    answer = c.allot("doctor", *argv, check=False)
    assert answer.returncode in (0, 7), answer
    return answer


def healthy(c):
    until(lambda: doctor(c).returncode == 0, "doctor finds no problem after the heal")


@case
def first_work(bin_dir):
    """A gang over four machines, streams from a fifth, logs and listings with a token, by IPv4."""
    with Cluster(bin_dir) as c:
        c.up()
        job = submit_gang(c, 20)
        assert c.allot("wait", job).returncode == 0
        assert sorted({t["node"] for t in c.job(job)["tasks"]}) == [n.name for n in c.nodes]
        logs = c.allot("logs", job).stdout
        assert logs.count("of 4 attempt 1 done") == 4, logs
        c.deploy(replicas=4)
        Streams(c, 8, 20, 0.02).all_whole()
        refused = c.client.run(c.lab.program("allot"), "jobs", check=False,
                               env={"ALLOT_SERVER": f"http://{c.head.address}:7401"})
        assert refused.returncode == 3, refused


@case
def healed_partition_keeps_new_streams(bin_dir):
    """What a link of before the cut still carries does not touch what began after it."""
    with Cluster(bin_dir, nodes=1) as c:
        c.up()
        c.deploy()
        for _ in range(3):
            c.lab.cut("gateway", "n1")
            time.sleep(6)  # Longer than a gateway waits for a silent agent.
            c.lab.heal()
            until(lambda: c.client.run("curl", "-sf", "-o", "/dev/null", "-H", f"Authorization: Bearer {c.token}",
                                       f"http://{c.gateway.address}:7411/v1/completions", "-d",
                                       '{"model": "chat", "prompt": "x", "max_tokens": 1}', check=False).returncode == 0,
                  "a request is answered after the heal")
            Streams(c, 5, 80, 0.05).all_whole()


@case
def large_answer_over_a_slow_line(bin_dir):
    """8 MB over 10 Mbit/s arrive, and a stream of the same node does not notice."""
    with Cluster(bin_dir, nodes=1) as c:
        c.up()
        c.deploy()
        c.lab.path("gateway", "n1", kbit=10000, delay=5)
        streams = Streams(c, 1, 200, 0.05).all_started()
        size = 8 * 1000 * 1000
        answer = c.client.run(
            "curl", "-s", "-o", c.client.path("answer"), "-w", "%{http_code}", "-H", f"Authorization: Bearer {c.token}",
            f"http://{c.gateway.address}:7411/v1/completions", "-d",
            json.dumps({"model": "chat", "prompt": "x", "suffix": str(size)}), timeout=120)
        assert answer.stdout == "200", answer
        assert os.path.getsize(c.client.path("answer")) > size
        streams.all_whole()


@case
def large_request_over_a_slow_line(bin_dir):
    """So do 3 MB in the other direction."""
    with Cluster(bin_dir, nodes=1) as c:
        c.up()
        c.deploy()
        c.lab.path("gateway", "n1", kbit=5000, delay=5)
        streams = Streams(c, 1, 200, 0.05).all_started()
        body = c.client.write("body.json", json.dumps({"model": "chat", "prompt": "x" * 3_000_000, "max_tokens": 1}))
        answer = c.client.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Authorization: Bearer {c.token}",
                              f"http://{c.gateway.address}:7411/v1/completions", "-d", f"@{body}", timeout=120)
        assert answer.stdout == "200", answer
        streams.all_whole()


@case
def blind_scheduler_cuts_no_stream(bin_dir):
    """Gateway and agents reach one another; that the scheduler hears neither, or is gone, is no reason to stop."""
    with Cluster(bin_dir, nodes=2) as c:
        c.up()
        c.deploy(replicas=2)
        streams = Streams(c, 10, 700, 0.05).all_started()
        c.lab.cut("head", "gateway")
        time.sleep(16)
        Streams(c, 4, 20, 0.02, name="during").all_whole()
        c.lab.cut("head")
        Streams(c, 4, 20, 0.02, name="cut-off").all_whole()
        c.lab.heal()
        c.head.kill("allot-scheduler")
        Streams(c, 4, 20, 0.02, name="gone").all_whole()
        c.start_scheduler()
        streams.all_whole()
        c.wait_nodes(2)
        healthy(c)


@case
def node_that_only_the_scheduler_lost_keeps_its_streams(bin_dir):
    """Longer than its lease: it is lost and comes back, and streams by its gateway notice neither."""
    with Cluster(bin_dir, nodes=2, per_node=1, lease="6s") as c:
        c.up()
        c.deploy(replicas=2)
        streams = Streams(c, 8, 500, 0.05).all_started()
        c.lab.cut("head", "n1")
        until(lambda: sum(n["alive"] for n in c.json("nodes")["nodes"]) == 1, "the scheduler has lost the node")
        Streams(c, 4, 20, 0.02, name="during").all_whole()
        c.lab.heal()
        c.wait_nodes(2)
        healthy(c)
        assert {s["node"] for s in streams.all_whole()} == {"n1", "n2"}
        replicas = c.json("deployments")["deployments"][0]["replicas"]
        assert {r["id"] for r in replicas} == {"replica-1", "replica-2"}, replicas


@case
def path_that_loses_large_packets(bin_dir):
    """A node behind it is not ready, and says why; work goes to the others."""
    with Cluster(bin_dir, nodes=2) as c:
        c.lab.path("head", "n1", mtu=1000)
        c.start_scheduler()
        c.start_gateway()
        for node in c.nodes:
            c.start_agent(node)
        c.wait_nodes(1)
        jobs = [c.submit("--cpus", "0.1", "--memory", "64MiB", "--", "true") for _ in range(6)]
        for job in jobs:
            assert c.allot("wait", job, "--timeout", "60s").returncode == 0
            assert c.job(job)["tasks"][0]["node"] == "n2"

        def symptom():
            with open(c.nodes[0].path("agent.log")) as log:
                return "MTU" in log.read()
        until(symptom, "the agent names the symptom")
        until(lambda: "MTU" in doctor(c).stdout + c.allot("nodes").stdout, "the scheduler names it as well")
        c.lab.path("head", "n1")
        c.wait_nodes(2)


@case
def path_that_begins_to_lose_large_packets(bin_dir):
    """The same in the middle of a life: nothing is swallowed as assigned."""
    with Cluster(bin_dir, nodes=2) as c:
        c.up()
        lost = c.lab.lost()
        c.lab.path("head", "n1", mtu=1000)
        # Each wants a whole node for longer than it takes to submit the other, so one is placed on n1, and its launch is
        # larger than what passes.
        jobs = [c.submit("--cpus", "0.1", "--memory", "64MiB", "--device", "kind=GPU,count=2", "--env", "PAD=" + "x" * 3000,
                         "--", "sleep", "5") for _ in range(2)]
        placed = [until(lambda: [t.get("node") for t in c.job(job)["tasks"]], f"{job} is placed")[0] for job in jobs]
        assert sorted(placed) == ["n1", "n2"], placed
        swallowed = jobs[placed.index("n1")]
        for job in jobs:
            assert c.allot("wait", job, "--timeout", "150s").returncode == 0, c.job(job)
        assert c.lab.lost() > lost, "the path lost nothing"
        job = c.job(swallowed)
        assert job["tasks"][0]["node"] == "n2" and job["attempt"] == 2, job
        until(lambda: "MTU" in doctor(c).stdout + c.allot("nodes").stdout, "it is said why")
        c.lab.path("head", "n1")
        c.wait_nodes(2)


@case
def reboot_requeues_the_gang(bin_dir):
    """Quicker than the lease and slower, with the state folder kept and with it gone."""
    with Cluster(bin_dir, nodes=2, lease="6s") as c:
        c.up()
        job = submit_gang(c, 100000)
        until(lambda: running(c, job), "the gang runs")
        for pause, forget in [(0, False), (8, False), (0, True)]:
            attempt = c.job(job)["attempt"]
            victim = c.nodes[attempt % 2]
            victim.power_off()
            time.sleep(pause)
            if forget:
                victim.forget()
            victim.boot()
            c.start_agent(victim)
            again = until(lambda: (running(c, job) or {}).get("attempt", 0) > attempt and running(c, job),
                          f"the gang runs again after a reboot with a pause of {pause} s")
            assert again["phase"] == "running"
        c.allot("cancel", job)
        c.allot("wait", job, check=False)


@case
def prometheus_finds_everything(bin_dir):
    """By discovery alone: scheduler, gateway and every agent of other machines, with a token."""
    with Cluster(bin_dir) as c:
        c.up()
        config = c.client.write("prometheus.yml", f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: allotrope
    authorization: {{type: Bearer, credentials_file: {c.token_file}}}
    http_sd_configs:
      - url: http://{c.head.address}:7401/v1/sd/prometheus
        authorization: {{type: Bearer, credentials_file: {c.token_file}}}
        refresh_interval: 1s
""")
        c.client.start("prometheus", "prometheus", f"--config.file={config}", f"--storage.tsdb.path={c.client.path('tsdb')}",
                       "--web.listen-address=127.0.0.1:9090")

        def up():
            answer = c.client.run("curl", "-sf", "http://127.0.0.1:9090/api/v1/targets?state=active", check=False)
            if answer.returncode != 0:
                return 0
            targets = loads(answer.stdout, "targets")["data"]["activeTargets"]
            return sum(t["health"] == "up" for t in targets) == len(targets) == 2 + len(c.nodes)
        until(up, "all six targets are up", 40)


@case
def cut_between_a_gateway_and_an_agent_shows(bin_dir):
    """The scheduler hears both, so only they can tell; doctor and the deployment say it."""
    with Cluster(bin_dir, nodes=2) as c:
        c.up()
        c.deploy(replicas=4)
        c.lab.cut("gateway", "n1")
        until(lambda: doctor(c).returncode == 7 and "gateway" in doctor(c, "n1").stdout, "doctor names the gateway")
        said = c.allot("explain", "chat").stdout + c.allot("deployments").stdout
        assert "does not reach" in said or "not linked" in said, said
        c.lab.heal()
        healthy(c)


def where_it_is(c, name):
    """The node's address as the tasks of a gang are told it, and the interface that one on it shall use."""
    job = c.submit("--tasks", len(c.nodes), "--device", "kind=GPU,count=2", "--cpus", "0.1", "--memory", "64MiB", "--",
                   "sh", "-c", "echo $MASTER_ADDR $ALLOT_PEERS $GLOO_SOCKET_IFNAME")
    assert c.allot("wait", job, "--timeout", "60s").returncode == 0, c.job(job)
    rank = next(t["rank"] for t in c.job(job)["tasks"] if t["node"] == name)
    said = c.allot("logs", job, "--task", rank).stdout
    main, peers, interface = said.split()
    peers = peers.split(",")
    assert main == peers[0], said
    return peers[rank], interface


def moves(node, address, interface="eth0"):
    """Another address, and with another name for its card, as after a move to another network."""
    node.ip("link", "set", "eth0", "down")
    node.ip("addr", "flush", "dev", "eth0", "scope", "global")
    node.ip("link", "set", "eth0", "name", interface)
    node.ip("addr", "add", f"{address}/24", "dev", interface)
    node.ip("link", "set", interface, "up")
    node.address = address


def gang_meets(c):
    job = submit_gang(c, 5)
    if c.allot("wait", job, "--timeout", "20s", check=False).returncode == 0:
        return True
    c.allot("cancel", job, check=False)
    return False


@case
def address_changes(bin_dir):
    """A node that gets another address: gangs are told it and meet there, collectives take its interface."""
    with Cluster(bin_dir, nodes=2) as c:
        node = c.nodes[0]
        for other in c.nodes:
            c.write_agent(other, address="")
        c.up()
        assert gang_meets(c)
        assert where_it_is(c, "n1") == (node.address, "eth0")
        moves(node, "10.77.0.99", "net7")
        until(lambda: "10.77.0.99" in c.allot("nodes").stdout, "the new address is told", 90)
        until(lambda: gang_meets(c), "a gang meets at the new address", 120, every=1)
        assert where_it_is(c, "n1") == ("10.77.0.99", "net7")


@case
def address_behind_a_name_changes(bin_dir):
    """The same where `address` is a name that means another address by now."""
    with Cluster(bin_dir, nodes=2) as c:
        for node in c.nodes:
            c.write_agent(node, address=f"{node.name}.lab")
            for other in [c.head, c.gateway, *c.nodes]:
                with open(other.path("etc/hosts"), "a") as hosts:
                    hosts.write(f"{node.address}\t{node.name}.lab\n")
        c.up()
        assert gang_meets(c)
        assert where_it_is(c, "n1") == ("n1.lab", "eth0")
        node = c.nodes[0]
        old = node.address
        moves(node, "10.77.0.99", "net7")
        for machine in c.lab.machines.values():
            with open(machine.path("etc/hosts"), "r+") as hosts:  # In place: it is bound to /etc/hosts there.
                text = hosts.read().replace(f"{old}\t", f"{node.address}\t")
                hosts.seek(0)
                hosts.truncate()
                hosts.write(text)
        until(lambda: gang_meets(c), "a gang meets at the new address", 120, every=1)
        assert where_it_is(c, "n1") == ("n1.lab", "net7")


def gangs_meet_on_the_head(c):
    job = submit_gang(c, 5)
    assert c.allot("wait", job, "--timeout", "60s").returncode == 0, c.job(job)
    assert where_it_is(c, "head") == (c.head.address, "eth0")
    shown = {n["name"]: n for n in c.json("nodes")["nodes"]}["head"]
    assert shown["address"] == c.head.address and not shown.get("warnings"), shown


@case
def scheduler_by_a_name_of_loopback(bin_dir):
    """An agent on the head, which knows that by the name that its installer gave 127.0.1.1: gangs meet all the same."""
    with Cluster(bin_dir, nodes=1) as c:
        c.add_agent_on_head()
        c.up()
        gangs_meet_on_the_head(c)


@case
def scheduler_at_loopback(bin_dir):
    """An agent on the head that dials 127.0.0.1: its peers and Prometheus are told an address of the machine."""
    with Cluster(bin_dir, nodes=1) as c:
        c.add_agent_on_head("127.0.0.1")
        with open(c.head.path("agent.yaml")) as file:
            text = [line for line in file if not line.startswith("http_listen")]
        c.head.write("agent.yaml", "".join(text))
        c.up()
        gangs_meet_on_the_head(c)
        found = loads(c.client.run("curl", "-s", "-H", f"Authorization: Bearer {c.token}",
                                   f"http://{c.head.address}:7401/v1/sd/prometheus").stdout, "targets")
        assert f"{c.head.address}:7402" in [target for row in found for target in row["targets"]], found


@case
def node_behind_a_translator(bin_dir):
    """Ready for work of its own; that gangs cannot reach it is said, by nodes, doctor, and of such a gang."""
    with Cluster(bin_dir, nodes=2) as c:
        node = c.nodes[0]
        c.write_agent(node, address="")
        c.lab.command(f"nat n1 10.77.0.150 {node.address}")
        c.up()
        jobs = [c.submit("--device", "kind=GPU,count=2", "--cpus", "0.1", "--memory", "64MiB", "--", "sleep", "1")
                for _ in range(2)]
        for job in jobs:
            assert c.allot("wait", job).returncode == 0
        assert {c.job(job)["tasks"][0]["node"] for job in jobs} == {"n1", "n2"}
        seen = f"tells {node.address} and is seen at 10.77.0.150"
        assert seen in doctor(c, "n1").stdout and seen in c.allot("nodes").stdout, doctor(c, "n1")
        shown = {n["name"]: n for n in c.json("nodes")["nodes"]}["n1"]
        assert (shown["address"], shown["seen_address"]) == (node.address, "10.77.0.150"), shown
        gang = submit_gang(c, 5)
        until(lambda: running(c, gang), "the gang runs")
        assert f"n1 {seen}" in c.allot("explain", gang).stdout, c.allot("explain", gang)
        c.allot("cancel", gang)
        c.allot("wait", gang, check=False)
        assert f"n1 {seen}" in c.allot("explain", gang).stdout


@case
def by_ipv6(bin_dir):
    """The same programs on IPv6 addresses alone."""
    with Cluster(bin_dir, nodes=2) as c:
        for machine in c.lab.machines.values():
            machine.ip("addr", "del", f"{machine.address}/24", "dev", "eth0")
            machine.address = machine.address_v6
        for machine in c.lab.machines.values():
            for name in ("scheduler.yaml", "gateway.yaml", "agent.yaml"):
                if not os.path.exists(machine.path(name)):
                    continue
                with open(machine.path(name)) as file:
                    text = file.read()
                for other in c.lab.machines.values():
                    v4 = f"10.77.0.{other.number}"
                    text = text.replace(f"'{v4}'", f"'{other.address_v6}'").replace(f"{v4}:", f"[{other.address_v6}]:")
                text = "\n".join(line if not line.startswith(("http_listen: [",)) else
                                 "http_listen: '" + line.split(": ", 1)[1] + "'" for line in text.split("\n"))
                machine.write(name, text)
        c.head.address, plain = f"[{c.head.address_v6}]", c.head.address_v6
        c.gateway.address = f"[{c.gateway.address_v6}]"
        c.up()
        assert plain
        assert c.allot("wait", submit_gang(c, 10)).returncode == 0
        c.deploy(replicas=2)
        Streams(c, 4, 20, 0.02).all_whole()
        targets = c.client.run("curl", "-sg", "-H", f"Authorization: Bearer {c.token}",
                               f"http://{c.head.address}:7401/v1/sd/prometheus").stdout
        for target in [t for group in json.loads(targets) for t in group["targets"]]:
            answer = c.client.run("curl", "-sg", "-o", "/dev/null", "-w", "%{http_code}", "-H",
                                  f"Authorization: Bearer {c.token}", f"http://{target}/metrics", check=False)
            assert answer.stdout == "200", (target, answer)


@case
def restarts_of_the_control_plane(bin_dir):
    """Scheduler and agents killed and started again under streams: none is cut, no job lost."""
    with Cluster(bin_dir, nodes=2) as c:
        c.up()
        c.deploy(replicas=2)
        job = c.submit("--cpus", "0.1", "--memory", "64MiB", "--", "sleep", "8")
        streams = Streams(c, 6, 160, 0.05).all_started()
        for _ in range(3):
            c.head.kill("allot-scheduler")
            time.sleep(1)
            c.start_scheduler()
            c.wait_nodes(2)
        streams.all_whole()
        assert c.allot("wait", job).returncode == 0
