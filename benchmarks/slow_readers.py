#!/usr/bin/env python3
"""What clients that do not read, large answers and large bodies cost a head node (ADR 23).

  benchmarks/slow_readers.py [--bin build/release/bin] [--json]

Starts a local cluster in a folder of its own and prints, for each trouble: the scheduler's memory before it, at
its peak and a minute after it at most, and how long GET /healthz took meanwhile. Exits with 1 where memory goes
beyond 256 MiB, does not come back, or /healthz has a 99th percentile over 20 ms.

  deaf clients    150 that ask for long lists, metrics, logs and streams and read nothing
  large answers   20 at once of 50 MB through the gateway, read by their clients
  large bodies    six clients that send jobs of 100,000 variables, again and again
  large jobs      500 with 0.95 MB of environment each: under the budget as it is, then under a raised one
"""
import argparse, http.client, json, os, shutil, signal, socket, subprocess, sys, tempfile, threading, time

MIB = 1 << 20


def serve(port):
    """A model server: /health, and answers as long as the prompt says, streamed if asked for."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            size = int(body["prompt"])
            try:
                if body.get("stream"):
                    self.send_response(200)
                    self.send_header("Content-Type", "text/event-stream")
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    event = b'data: {"choices":[{"text":"' + b"x" * 4000 + b'"}]}\n\n'
                    for _ in range(size // len(event)):
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                    self.wfile.write(b"0\r\n\r\n")
                    return
                head, tail = b'{"choices":[{"text":"', b'"}],"usage":{"completion_tokens":1}}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(size))
                self.end_headers()
                self.wfile.write(head)
                left = size - len(head) - len(tail)
                while left > 0:
                    piece = min(left, MIB)
                    self.wfile.write(b"x" * piece)
                    left -= piece
                self.wfile.write(tail)
            except OSError:
                pass

    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer.request_queue_size = 256
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


class Cluster:
    def __init__(self, binaries, folder, extra=""):
        self.bin, self.folder = os.path.abspath(binaries), folder
        self.dir = os.path.join(folder, "cluster")
        self.allot("local", "up", "--dir", self.dir, "--agents", "host")
        if extra:
            self.restart(extra)
        status = json.loads(self.allot("local", "status", "--dir", self.dir, "--json"))
        self.api, self.gateway = (status[k].split("//")[1] for k in ("api", "gateway"))
        self.pid = status["scheduler_pid"]
        token = status.get("token_file")
        self.token = open(token).read().strip() if token else ""
        os.environ["ALLOT_SERVER"], os.environ["ALLOT_TOKEN"] = "http://" + self.api, self.token
        self.headers = {"Authorization": "Bearer " + self.token, "Content-Type": "application/json"}

    def restart(self, extra):
        status = json.loads(self.allot("local", "status", "--dir", self.dir, "--json"))
        os.kill(status["scheduler_pid"], signal.SIGTERM)
        addresses = os.path.join(self.dir, "scheduler", "addresses.yaml")
        while os.path.exists(addresses):
            time.sleep(0.05)
        with open(os.path.join(self.dir, "scheduler.yaml"), "a") as config:
            config.write(extra)
        environment = dict(os.environ, ALLOT_LOCAL_CLUSTER=self.dir)
        with open(os.path.join(self.dir, "logs", "scheduler.log"), "a") as log:
            self.scheduler = subprocess.Popen(
                [os.path.join(self.bin, "allot-scheduler"), "--config", os.path.join(self.dir, "scheduler.yaml")],
                stdout=log, stderr=log, env=environment)
        while not os.path.exists(addresses):
            time.sleep(0.05)

    def allot(self, *words):
        done = subprocess.run([os.path.join(self.bin, "allot"), *words], capture_output=True, text=True,
                              cwd=self.folder)
        if done.returncode != 0:
            raise SystemExit("allot %s: %s" % (" ".join(words), done.stderr))
        return done.stdout

    def ask(self, method, path, body=None, where=None, timeout=120):
        connection = http.client.HTTPConnection(where or self.api, timeout=timeout)
        connection.request(method, path, body, self.headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text

    def rss(self):
        with open("/proc/%d/status" % self.pid) as status:
            for line in status:
                if line.startswith("VmRSS"):
                    return int(line.split()[1]) / 1024

    def down(self):
        if getattr(self, "scheduler", None):
            self.scheduler.terminate()
            self.scheduler.wait()
        self.allot("local", "down", "--dir", self.dir)


def probe(api):
    """How long /healthz takes, in a process of its own, until its input ends; then all times."""
    host, port = api.split(":")
    s = socket.create_connection((host, int(port)))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ask = b"GET /healthz HTTP/1.1\r\nHost: " + api.encode() + b"\r\n\r\n"
    times, ended = [], threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.is_set():
        begin = time.perf_counter()
        s.sendall(ask)
        s.recv(4096)
        times.append(time.perf_counter() - begin)
        time.sleep(0.005)
    print(json.dumps(times))


class Watch:
    """Memory, and how long /healthz takes, until it is told to stop."""

    def __init__(self, cluster):
        self.cluster, self.peak, self.stopped = cluster, 0, False
        self.before = cluster.rss()
        self.probe = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--probe", cluster.api],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.thread = threading.Thread(target=self.memory)
        self.thread.start()

    def memory(self):
        while not self.stopped:
            self.peak = max(self.peak, self.cluster.rss())
            time.sleep(0.02)

    def stop(self, name, note, settle=60):
        self.stopped = True
        self.thread.join()
        times, _ = self.probe.communicate()
        # Back where it was, but for a little.
        begin, back = time.time(), None
        while time.time() - begin < settle:
            if self.cluster.rss() <= self.before + 48:
                back = time.time() - begin
                break
            time.sleep(0.2)
        ordered = sorted(json.loads(times))
        row = {
            "what": name, "before_mib": round(self.before), "peak_mib": round(self.peak),
            "after_mib": round(self.cluster.rss()), "back_after_s": None if back is None else round(back, 1),
            "healthz_p50_ms": round(1e3 * ordered[len(ordered) // 2], 1),
            "healthz_p99_ms": round(1e3 * ordered[int(len(ordered) * 0.99)], 1), "note": note,
        }
        row["good"] = row["peak_mib"] <= 256 and back is not None and row["healthz_p99_ms"] <= 20
        return row


def deaf_clients(cluster):
    # Lists that are long: jobs with long commands, that have ended and that wait.
    for _ in range(300):
        cluster.ask("POST", "/v1/jobs", json.dumps({"runtime": "noop", "command": ["x" * 3000]}))
    log = cluster.allot("submit", "--cpus", "0.1", "--memory", "32MiB", "--", "sh", "-c",
                        "head -c 30000000 /dev/zero | tr '\\0' x; exec sleep 100").strip()
    time.sleep(2)
    watch = Watch(cluster)
    token = cluster.headers["Authorization"]
    stream = json.dumps({"model": "big", "prompt": "20000000", "stream": True})
    asks = [(cluster.api, "GET", "/v1/jobs?limit=1000", ""), (cluster.api, "GET", "/metrics", ""),
            (cluster.api, "GET", "/v1/jobs/%s/logs" % log, ""), (cluster.gateway, "POST", "/v1/completions", stream)]
    deaf = []
    for i in range(150):
        where, method, path, body = asks[i % len(asks)]
        host, port = where.split(":")
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((host, int(port)))
        head = "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        request = (head % (method, path, where, token, len(body)) + body).encode()
        # Again and again, on the same connection.
        s.sendall(request * (20 if method == "GET" else 1))
        deaf.append(s)
    time.sleep(20)
    row = watch.stop("deaf clients", "150 clients; the minute begins while they are still there")
    for s in deaf:
        s.close()
    cluster.allot("cancel", log)
    return row


def large_answers(cluster, count=20, size=50_000_000):
    watch, got = Watch(cluster), []

    def one():
        status, text = cluster.ask("POST", "/v1/completions", json.dumps({"model": "big", "prompt": str(size)}),
                                   cluster.gateway, 300)
        got.append((status, len(text)))

    threads = [threading.Thread(target=one) for _ in range(count)]
    begin = time.time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = sum(1 for status, length in got if (status, length) == (200, size))
    return watch.stop("large answers", "%d of %d came whole in %.1f s" % (whole, count, time.time() - begin))


def large_bodies(cluster, seconds=15):
    body = json.dumps({"command": ["true"], "environment": {"VARIABLE_%d" % i: "" for i in range(100_000)}})
    watch, answers, end = Watch(cluster), {}, time.time() + seconds
    refusals = set()

    def one():
        while time.time() < end:
            status, text = cluster.ask("POST", "/v1/jobs", body)
            answers[status] = answers.get(status, 0) + 1
            refusals.add(text[:200])

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return watch.stop("large bodies", "answers by status: %s; one: %s" % (answers, next(iter(refusals)).decode()))


def large_jobs(cluster, name, count=500):
    environment = {"V%d" % i: "%08d" % i * 14_800 for i in range(8)}  # 0.95 MB
    body = json.dumps({"command": ["sleep", "1"], "environment": environment,
                       "resources": {"cpus": "0.2", "memory": "4MiB"}})
    watch, accepted, refused, said = Watch(cluster), [], 0, ""
    for _ in range(count):
        status, text = cluster.ask("POST", "/v1/jobs", body)
        if status == 201:
            accepted.append(json.loads(text)["job"]["id"])
        else:
            refused, said = refused + 1, text.decode()
    end, done = time.time() + 600, 0
    while time.time() < end:
        _, text = cluster.ask("GET", "/v1/cluster")
        jobs = json.loads(text)["jobs"]
        if jobs["pending"] + jobs["running"] + jobs["stopping"] == 0:
            break
        time.sleep(0.2)
    for job in accepted:
        status, text = cluster.ask("GET", "/v1/jobs/" + job)
        done += status == 200 and json.loads(text)["job"].get("outcome") == "succeeded"
    return watch.stop(name, "%d accepted, %d of them succeeded, %d refused%s" %
                      (len(accepted), done, refused, ": " + said[:240] if said else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", help="one of deaf, answers, bodies, jobs")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.serve:
        return serve(flags.serve)
    if flags.probe:
        return probe(flags.probe)
    rows, folder = [], tempfile.mkdtemp(prefix="allot-slow-")
    wanted = lambda what: flags.only in (None, what)
    try:
        cluster = Cluster(flags.bin, folder)
        try:
            if wanted("deaf") or wanted("answers"):
                with open(os.path.join(folder, "big.yaml"), "w") as text:
                    text.write("name: big\ncommand: [%s, %s, --serve, '{port}']\nresources: {cpus: 0.1, memory: 512MiB}\n"
                               "replicas: [{device: {kind: CPU}, count: 1, concurrency: 256}]\n"
                               % (sys.executable, os.path.abspath(__file__)))
                cluster.allot("deploy", "big.yaml", "--wait")
            if wanted("bodies"):
                rows.append(large_bodies(cluster))
            if wanted("answers"):
                rows.append(large_answers(cluster))
            if wanted("deaf"):
                rows.append(deaf_clients(cluster))
            if wanted("jobs"):
                rows.append(large_jobs(cluster, "large jobs"))
        finally:
            cluster.down()
        if wanted("jobs"):
            shutil.rmtree(folder)
            os.mkdir(folder)
            cluster = Cluster(flags.bin, folder, "specs_max: 1GiB\nspecs_per_tenant_max: 1GiB\n")
            try:
                rows.append(large_jobs(cluster, "large jobs, budget raised"))
            finally:
                cluster.down()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if flags.json:
        print(json.dumps(rows, indent=1))
    else:
        print("%-26s %7s %7s %7s %7s %9s %9s" % ("MiB", "before", "peak", "after", "back s", "p50 ms", "p99 ms"))
        for row in rows:
            print("%-26s %7d %7d %7d %7s %9.1f %9.1f  %s" %
                  (row["what"], row["before_mib"], row["peak_mib"], row["after_mib"], row["back_after_s"],
                   row["healthz_p50_ms"], row["healthz_p99_ms"], "good" if row["good"] else "TOO MUCH"))
            print("    " + row["note"])
    return 0 if all(row["good"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
