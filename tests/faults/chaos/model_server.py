"""A model server for chaos: model_server.py PORT [FILE]

Every event, and every word of an answer that is not streamed, holds the request's prompt and a number that
counts from 0, so that a gap, a repetition and another request's bytes show. `max_tokens` of them, one every
`user` seconds. Ends on SIGTERM at once, as a careless server does; where FILE is named, only once that is there.
"""
import json
import os
import signal
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
        marker, count = body["prompt"], body["max_tokens"]
        words = [f"{marker}:{i} " for i in range(count)]
        if not body.get("stream"):
            time.sleep(float(body["user"]) * count)
            return self.answer(200, json.dumps({"choices": [{"index": 0, "text": "".join(words)}]}).encode())
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for word in words:
            self.event(json.dumps({"object": "text_completion", "choices": [{"index": 0, "text": word}]}))
            time.sleep(float(body["user"]))
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, data):
        piece = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, address):
        pass  # A client that is gone.


def leave(*_):
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.05)
    os._exit(0)


if len(sys.argv) > 2:
    signal.signal(signal.SIGTERM, leave)
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
