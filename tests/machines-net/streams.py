"""Streams and single requests from the client's machine, run there: streams.py URL TOKEN_FILE COUNT EVENTS INTERVAL

COUNT streams at once; for each a line of JSON on standard output when it ended: {"id", "status", "events",
"done", "error", "seconds", "gap"}: `events` in order from 0 without a gap, `done` whether [DONE] came, `gap`
the longest silence. A line {"started": N} whenever another stream has its first event.
"""
import http.client
import json
import sys
import threading
import time
from urllib.parse import urlsplit

lock = threading.Lock()
started = 0


def say(value):
    with lock:
        print(json.dumps(value), flush=True)


def stream(number, url, token, events, interval):
    global started
    begin = last = time.monotonic()
    result = {"id": number, "status": 0, "events": 0, "done": False, "error": "", "gap": 0.0}
    try:
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=300)
        connection.request("POST", "/v1/completions", json.dumps(
            {"model": "chat", "prompt": f"stream {number}", "max_tokens": events, "stream": True, "user": str(interval)}),
            {"Content-Type": "application/json", "Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        result["status"] = answer.status
        result["node"] = answer.getheader("X-Allot-Node") or ""
        for line in answer:
            now = time.monotonic()
            result["gap"], last = max(result["gap"], now - last), now
            if not line.startswith(b"data: "):
                if answer.status != 200:
                    result["error"] += line.decode(errors="replace")[:200]
                continue
            data = line[6:].strip()
            if data == b"[DONE]":
                result["done"] = True
                continue
            event = json.loads(data)
            if "error" in event:
                result["error"] = json.dumps(event["error"])[:300]
                continue
            if event["choices"][0]["text"] != f"{result['events']} ":
                result["error"] = f"event {result['events']} is {event['choices'][0]['text']!r}"
                break
            result["events"] += 1
            if result["events"] == 1:
                with lock:
                    started += 1
                    print(json.dumps({"started": started}), flush=True)
    except (OSError, http.client.HTTPException, ValueError) as error:
        result["error"] = result["error"] or f"{type(error).__name__}: {error}"
    result["seconds"] = time.monotonic() - begin
    say(result)


def main():
    url, token_file, count, events, interval = sys.argv[1:6]
    with open(token_file) as file:
        token = file.read().strip()
    threads = [threading.Thread(target=stream, args=(n, urlsplit(url), token, int(events), float(interval)))
               for n in range(int(count))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main()
