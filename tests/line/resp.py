"""resp.py - a small client of Redis and Valkey for asyncio

    client = await Client.open(port)
    value = await client("GET", "key")            raises Error
    one, two = await client.many(["PING"], ["TIME"])   an Error is a value

Text comes back as str, numbers as int, nothing as None.
"""

import asyncio


class Error(Exception):
    """What the server refuses."""


class Client:
    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def close(self):
        self.writer.close()

    @property
    def address(self):
        """As CLIENT LIST and MONITOR show this connection."""
        return "%s:%d" % self.writer.get_extra_info("sockname")

    def send(self, *commands):
        """Sends commands in one write; each needs one reply()."""
        self.writer.write(b"".join(encode(words) for words in commands))

    async def many(self, *commands):
        self.send(*commands)
        return [await self.reply() for _ in commands]

    async def __call__(self, *words):
        (reply,) = await self.many(words)
        if isinstance(reply, Error):
            raise reply
        return reply

    async def reply(self):
        line = await self.line()
        kind, rest = line[0], line[1:]
        if kind == "+":
            return rest
        if kind == "-":
            return Error(rest)
        if kind == ":":
            return int(rest)
        if kind == "$":
            return await self.bulk(int(rest))
        if kind == "*":
            return [await self.reply() for _ in range(int(rest))]
        raise ConnectionError(f"no reply: {line!r}")

    async def bulk(self, size):
        if size < 0:
            return None
        return text((await self.reader.readexactly(size + 2))[:-2])

    async def line(self):
        line = await self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server has closed the connection")
        return text(line[:-2])


def encode(words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = str(word).encode("utf-8", "surrogateescape")
        parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(parts)


def text(data):
    return data.decode("utf-8", "surrogateescape")
