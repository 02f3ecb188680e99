"""Links that can be cut, in user space: a listener for each, whose bytes go to where its program is now.

  relay.py      commands on standard input, one answer a line

  route NAME                  ok PORT: a listener on loopback; it stays for good, what is behind it may move
  to NAME HOST:PORT           where the program behind it listens now
  cut NAME silent|half|reset  silent: nothing passes any more, in either direction, and nobody is told; new
                              connections are taken and say nothing either. half: so for every second
                              connection. reset: all are cut off, new ones at once
  heal NAME                   what waited goes on
Ends with its input.
"""
import asyncio
import socket
import struct
import sys

ABORT = struct.pack("ii", 1, 0)


class Route:
    def __init__(self):
        self.target, self.mode, self.number = None, None, 0
        self.changed = asyncio.Event()
        self.open = set()

    def set(self, mode):
        self.mode = mode
        self.changed.set()
        self.changed = asyncio.Event()
        if mode == "reset":
            for connection in list(self.open):
                connection.abort()

    async def passes(self, number):
        while self.mode == "silent" or (self.mode == "half" and number % 2 == 0):
            await self.changed.wait()


class Connection:
    def __init__(self, *writers):
        self.writers = list(writers)

    def close(self):
        for writer in self.writers:
            writer.close()  # What is still to be sent is sent.

    def abort(self):
        for writer in self.writers:
            raw = writer.get_extra_info("socket")
            if raw is not None:
                try:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                except OSError:
                    pass
            writer.transport.abort()


async def pump(route, number, reader, writer):
    while True:
        data = await reader.read(65536)
        await route.passes(number)
        if not data:
            break
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def serve(route, reader, writer):
    route.number += 1
    number, connection = route.number, Connection(writer)
    route.open.add(connection)
    try:
        await route.passes(number)
        if route.mode == "reset" or route.target is None:
            return connection.abort()
        there_reader, there_writer = await asyncio.open_connection(*route.target)
        connection.writers.append(there_writer)
        await asyncio.gather(pump(route, number, reader, there_writer), pump(route, number, there_reader, writer))
        connection.close()
    except OSError:
        connection.abort()
    finally:
        route.open.discard(connection)


async def main():
    routes = {}
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := (await commands.readline()).decode().split():
        verb, name, *more = line
        answer = "ok"
        if verb == "route":
            route = routes[name] = Route()
            server = await asyncio.start_server(lambda r, w, route=route: serve(route, r, w), "127.0.0.1", 0)
            answer = f"ok {server.sockets[0].getsockname()[1]}"
        elif verb == "to":
            host, port = more[0].rsplit(":", 1)
            routes[name].target = (host, int(port))
        elif verb == "cut":
            routes[name].set(more[0])
        elif verb == "heal":
            routes[name].set(None)
        print(answer, flush=True)


asyncio.run(main())
