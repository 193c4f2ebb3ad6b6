"""The client's pipes on the event loop, without threads.

The SDK hops to a worker thread for each line read and written. Its blocked reader thread keeps a process
alive after Ctrl-C and after the client has closed its end; on the loop both are seen at once, and a call
costs a third. Pipes and sockets only: a terminal or a file is served by the SDK's own transport.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCMessage
from pydantic_core import PydanticSerializationError

from fanout_mcp.clean import clean
from fanout_mcp.wire import MAX_LINE, TOO_LONG, Refusal, parse

Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]

CHUNK: Final = 65_536


def can_serve(*descriptors: int) -> bool:
    return all(_is_pipe(os.fstat(descriptor).st_mode) for descriptor in descriptors)


def _is_pipe(mode: int) -> bool:
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


async def lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes | None]:
    """Yield each line; None for one that is longer than MAX_LINE and is thrown away as it comes."""
    buffer, scanned, skipping = bytearray(), 0, False
    while chunk := await reader.read(CHUNK):
        buffer += chunk
        while (end := buffer.find(b"\n", scanned)) >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            scanned = 0
            if not skipping:
                yield line
            skipping = False
        scanned = len(buffer)
        if len(buffer) > MAX_LINE:
            if not skipping:
                yield None
            buffer.clear()
            scanned, skipping = 0, True


@asynccontextmanager
async def pipes(stdin: int, stdout: int, on_end: Callable[[], None]) -> AsyncIterator[Streams]:
    """Yield the SDK's pair of streams over two descriptors.

    When the client has closed either, `on_end` is called and the first stream ends.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=CHUNK * 4)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(stdin, "rb", buffering=0)
    )
    hangup = asyncio.StreamReader()  # reads nothing: it ends when the client has closed its reading end
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(hangup), os.fdopen(stdout, "wb", buffering=0)
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    to_server, from_client = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_client, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_pump_in, reader, to_server, writer, on_end)
        tasks.start_soon(_pump_out, from_server, writer)
        tasks.start_soon(_end_with, hangup, to_server, on_end)
        yield from_client, to_client
        tasks.cancel_scope.cancel()
    with suppress(OSError):
        writer.close()


async def _pump_in(
    reader: asyncio.StreamReader,
    to_server: MemoryObjectSendStream[SessionMessage | Exception],
    writer: asyncio.StreamWriter,
    on_end: Callable[[], None],
) -> None:
    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, ConnectionError):
        async with to_server:
            async for line in lines(reader):
                message = TOO_LONG if line is None else parse(line)
                if isinstance(message, Refusal):
                    await _send(writer, message.error)
                elif message is not None:
                    await to_server.send(SessionMessage(message))
            on_end()


async def _pump_out(
    from_server: MemoryObjectReceiveStream[SessionMessage], writer: asyncio.StreamWriter
) -> None:
    with suppress(ConnectionError):
        async with from_server:
            async for message in from_server:
                await _send(writer, message.message)


async def _send(writer: asyncio.StreamWriter, message: JSONRPCMessage) -> None:
    writer.write(encode(message))
    await writer.drain()


def encode(message: JSONRPCMessage) -> bytes:
    """One line. Results are cleaned before; what still can't be encoded must not take the server down."""
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
    except (PydanticSerializationError, UnicodeEncodeError):
        value = clean(message.model_dump(by_alias=True, exclude_unset=True))
        return json.dumps(value, separators=(",", ":")).encode() + b"\n"


async def _end_with(
    hangup: asyncio.StreamReader,
    to_server: MemoryObjectSendStream[SessionMessage | Exception],
    on_end: Callable[[], None],
) -> None:
    await hangup.read()
    on_end()
    to_server.close()
