"""Model clients of a chaos run: streams.py STATE_DIR NAME TOKEN_FILE WORKERS

Each worker asks the gateway of that state folder (addresses.yaml says where it listens now), one request after
another: most are streams, some are answered at once. For each a line of JSON when it ended:
  {"id", "gateway", "begin", "end": seconds of CLOCK_MONOTONIC, "stream", "status", "events", "wanted", "ended", "why"}
`ended` is one of
  whole      all of it, in order, and only its own bytes
  error      an error was stated: a status with a reason, or an event that is one
  refused    no connection was had, or it was cut before the head of an answer
  cut        the connection broke within the answer, which the client sees
  short      it ended as a whole answer does and was none: what must never be
  mixed      bytes of another request, a gap or a repetition: what must never be
  hung       nothing came for HUNG seconds: what must never be
SIGTERM: what is on its way is waited for, and nothing new is asked.
"""
import asyncio
import json
import signal
import sys
import time

HUNG = 150
PAUSE = 0.3


class Ended(Exception):
    def __init__(self, how, why=""):
        super().__init__(how)
        self.how, self.why = how, why


def address(state_dir):
    try:
        with open(state_dir + "/addresses.yaml") as file:
            for line in file:
                if line.startswith("http:"):
                    host, port = line.split(":", 1)[1].strip().strip("'\"").rsplit(":", 1)
                    return host, int(port)
    except (OSError, ValueError):
        pass
    raise Ended("refused", "the gateway has no address")


async def within(what):
    try:
        return await asyncio.wait_for(what, HUNG)
    except asyncio.TimeoutError:
        raise Ended("hung", f"nothing for {HUNG} s") from None


class Answer:
    """Bytes of one HTTP/1.1 answer; whoever reads past a broken connection gets Ended("cut")."""

    def __init__(self, reader):
        self.reader, self.status, self.headers = reader, 0, {}

    async def line(self, broken):
        try:
            line = await within(self.reader.readline())
        except OSError as error:
            raise Ended(broken, str(error)) from None
        if not line.endswith(b"\n"):
            raise Ended(broken, "the connection was closed")
        return line.rstrip(b"\r\n")

    async def head(self):
        while True:
            self.status = int((await self.line("refused")).split()[1])
            self.headers = {}
            while line := await self.line("refused"):
                name, value = line.split(b":", 1)
                self.headers[name.strip().lower()] = value.strip()
            if self.status >= 200:  # 100 Continue: the gateway asks whether we are there.
                return

    async def exactly(self, count):
        try:
            return await within(self.reader.readexactly(count))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Ended("cut", str(error)) from None

    async def pieces(self):
        if self.headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            while size := int((await self.line("cut")).split(b";")[0], 16):
                yield await self.exactly(size)
                await self.exactly(2)
            await self.line("cut")
        elif b"content-length" in self.headers:
            yield await self.exactly(int(self.headers[b"content-length"]))
        else:
            raise Ended("short", "an answer whose end nothing marks")

    async def body(self):
        return b"".join([piece async for piece in self.pieces()])


async def events(answer):
    rest = b""
    async for piece in answer.pieces():
        rest += piece
        *whole, rest = rest.split(b"\n")
        for line in whole:
            if line.startswith(b"data: "):
                yield line[6:].strip()
    if rest:
        raise Ended("short", f"half an event at the end: {rest[:80]!r}")


async def ask(state_dir, token, result):
    reader = writer = None
    try:
        try:
            reader, writer = await within(asyncio.open_connection(*address(state_dir)))
        except OSError as error:
            raise Ended("refused", str(error)) from None
        body = json.dumps({"model": "chat", "prompt": result["id"], "max_tokens": result["wanted"],
                           "stream": result["stream"], "user": "0.06"}).encode()
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s" % (token, len(body), body))
        answer = Answer(reader)
        await answer.head()
        result["status"] = answer.status
        if answer.status != 200:
            said = json.loads(await answer.body())["error"]["message"]
            raise Ended("error" if said else "short", said)
        if not result["stream"]:
            text = json.loads(await answer.body())["choices"][0]["text"]
            right = "".join(f"{result['id']}:{i} " for i in range(result["wanted"]))
            raise Ended("whole" if text == right else "mixed", "" if text == right else text[:200])
        done, stated = False, None
        async for data in events(answer):
            if stated is None and not done:
                if data == b"[DONE]":
                    done = True
                    continue
                event = json.loads(data)
                if "error" in event:
                    stated = result["stated"] = event["error"]["message"] or "an error without a word"
                    continue
                text = event["choices"][0]["text"]
                if text != f"{result['id']}:{result['events']} ":
                    raise Ended("mixed", f"event {result['events']} is {text!r}")
                result["events"] += 1
            else:
                raise Ended("mixed", f"after the end: {data[:80]!r}")
        if stated is not None:
            raise Ended("error", stated)
        if done and result["events"] == result["wanted"]:
            raise Ended("whole")
        raise Ended("short", f"done: {done}, {result['events']} of {result['wanted']} events")
    except Ended as end:
        # A stream whose error was stated is cut behind it, so that nobody takes it for whole.
        if end.how == "cut" and result.get("stated"):
            end = Ended("error", result["stated"])
        result["ended"], result["why"] = end.how, end.why
    except (ValueError, KeyError, IndexError, TypeError) as error:
        result["ended"], result["why"] = "mixed", f"not an answer: {type(error).__name__} {error}"
    finally:
        if writer is not None:
            writer.transport.abort()


async def worker(state_dir, name, token, number, stop):
    count = 0
    while not stop.is_set():
        count += 1
        kind = (number * 7 + count) % 8
        result = {"id": f"{name}-{number}-{count}", "gateway": name, "begin": time.monotonic(), "stream": kind != 0,
                  "status": 0, "events": 0, "wanted": 5 + 12 * kind, "ended": "", "why": ""}
        await ask(state_dir, token, result)
        result["end"] = time.monotonic()
        print(json.dumps(result), flush=True)
        try:
            await asyncio.wait_for(stop.wait(), PAUSE)
        except asyncio.TimeoutError:
            pass


async def main():
    state_dir, name, token_file, workers = sys.argv[1:5]
    with open(token_file, "rb") as file:
        token = file.read().strip()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.gather(*(worker(state_dir, name, token, n, stop) for n in range(int(workers))))


asyncio.run(main())
