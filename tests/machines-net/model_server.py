"""A model server for tests: model_server.py PORT [stream]

GET /health; POST /v1/completions. `max_tokens` events of the word `x`, one every `interval` seconds of the
request's field `user` (0.05 if it holds no number), numbered, so that a gap or a repetition shows. With
`stream: false` and a `suffix` that is a number, an answer of so many bytes. Ends on SIGTERM at once, as a
careless server does.
"""
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(200 if self.path == "/health" else 404, b"{}")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        count = int(body.get("max_tokens", 4))
        try:
            interval = float(body.get("user", "0.05"))
        except ValueError:
            interval = 0.05
        if not body.get("stream"):
            size = int(body.get("suffix") or 0)
            text = "x" * size if size else " ".join(["x"] * count)
            return self.answer(200, json.dumps({"choices": [{"index": 0, "text": text}]}).encode())
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(count):
            self.event(json.dumps({"object": "text_completion", "choices": [{"index": 0, "text": f"{i} "}]}))
            time.sleep(interval)
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, data):
        piece = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
