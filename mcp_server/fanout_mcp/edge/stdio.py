"""The client's pipes on the event loop, without threads.

The SDK hops to a worker thread for each line read and written. Its blocked reader thread keeps a process
alive after Ctrl-C and after the client has closed its end; on the loop both are seen at once, and a call
costs a third. Pipes and sockets only: a terminal or a file is served by the SDK's own transport.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData, JSONRPCError, JSONRPCMessage, JSONRPCNotification, jsonrpc_message_adapter
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from fanout_mcp.edge.first import REPLAYED
from fanout_mcp.text import clean, clean_text, decodable

# --- One line of the client's pipe: what it means, or what to answer when it means nothing. -----------------
# The SDK drops what it can't parse, and the client then waits half an hour for an answer. Here a request
# that can be recognised as one is answered, whatever is wrong with it.

MAX_LINE: Final = 16 * 1024 * 1024
"""As the client's own limit for a line (docs/operations.md)."""

MAX_ID: Final = 200
"""Longer ids are not worth the echo."""

INVALID_REQUEST, INVALID_PARAMS = -32600, -32602


@dataclass(frozen=True, slots=True)
class Refusal:
    """What to send back instead of passing the line on."""

    error: JSONRPCError


def refusal(number: int | str | None, code: int, message: str) -> Refusal:
    if isinstance(number, str):
        number = clean_text(number)[:MAX_ID]
    return Refusal(JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(code=code, message=message)))


TOO_LONG: Final = refusal(None, INVALID_REQUEST, f"A message may have at most {MAX_LINE:,} bytes.")


def parse(line: bytes) -> JSONRPCMessage | Refusal | None:
    """Return the message, a refusal to be sent back, or None for what is noise."""
    line = line.strip().removeprefix(b"\xef\xbb\xbf")
    if not line:
        return None
    try:
        message: JSONRPCMessage = jsonrpc_message_adapter.validate_json(line, by_name=False)
    except (ValidationError, RecursionError, ValueError):
        return _second_look(line)
    if isinstance(message, JSONRPCNotification) and b'"id"' in line:
        return _second_look(line)  # the SDK takes a request with an unusable id for a notification
    return message


def _second_look(line: bytes) -> JSONRPCMessage | Refusal | None:
    try:
        value = json.loads(line.decode("utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return None  # no JSON at all: noise has no id to answer to
    if isinstance(value, list):
        return refusal(
            None, INVALID_REQUEST, "Batches are not part of the protocol; send one message a line."
        )
    if not isinstance(value, dict):
        return None
    number = value.get("id")
    is_id = isinstance(number, int | str) and not isinstance(number, bool)
    if "id" in value and "method" in value and not is_id:
        return refusal(None, INVALID_REQUEST, "The id of a request must be text or a whole number.")
    try:
        message: JSONRPCMessage = jsonrpc_message_adapter.validate_python(decodable(value), by_name=False)
    except (ValidationError, RecursionError, ValueError):
        if not isinstance(value.get("method"), str) or "id" not in value:
            return None  # a notification or an answer: no reply is expected
        if not isinstance(value.get("params", {}), dict):
            return refusal(number, INVALID_PARAMS, "params must be an object.")
        return refusal(number, INVALID_REQUEST, "This is not a JSON-RPC 2.0 request.")
    return message


# --- stdio ------------------------------------------------------------------------------------------

Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]

CHUNK: Final = 65_536


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
async def pipes(
    stdin: int, stdout: int, on_end: Callable[[], None], begun: bytes = b""
) -> AsyncIterator[Streams]:
    """Yield the SDK's streams, which begin with `begun`; when the client closes an end, call `on_end`."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=CHUNK * 4)
    if begun:
        reader.feed_data(begun)
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
                if getattr(message.message, "id", None) not in REPLAYED:  # the client has that answer already
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
