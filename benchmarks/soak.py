"""The server for a long time: `python -m benchmarks.soak` sends good and bad requests and watches the memory it takes.

Every good answer is compared with what the SavedModel says when it is called directly; every bad request must get the
status that it deserves. Prints the growth of the server's memory after the first fifth of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from benchmarks.sampling import SIZES, export
from benchmarks.serving import Server, grpc_client

_TEXTS = 200  # with known answers
_WATCH_SECONDS = 2.0

# Body and the status that it must get.
BAD: list[tuple[str, bytes, int]] = [
    ("POST /v1/models/rnn:predict", b"{nope", 400),
    ("POST /v1/models/rnn:predict", b"[" * 50_000, 400),
    ("POST /v1/models/rnn:predict", b'{"instances": [1]}', 400),
    ("POST /v1/models/rnn:predict", b'{"instances": [{"prompt": "a", "temperature": NaN}]}', 400),
    ("POST /v1/models/rnn:predict", b'{"instances": [{"prompt": "a", "max_length": -1}]}', 400),
    ("POST /v1/models/rnn:predict", b'{"signature_name": "x", "instances": ["a"]}', 400),
    ("POST /v1/models/other:predict", b'{"instances": ["a"]}', 404),
    ("POST /v1/models/rnn/versions/77:predict", b'{"instances": ["a"]}', 404),
    ("POST /v1/models/rnn:generate", b'{"prompt": "a", "top_p": 0}', 400),
    ("POST /v1/models/rnn:generate", b'{"prompt": "a", "session": "stolen"}', 404),
    ("POST /v1/models/rnn:predict", b"x" * 5_000_000, 413),
    ("GET /nowhere", b"", 404),
]


async def send(port: int, line: str, body: bytes) -> tuple[int, bytes]:
    """Sends a request over a connection of its own; returns status and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
        writer.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.read()
        head_bytes, _, content = answer.partition(b"\r\n\r\n")
        return int(head_bytes.split(b" ", 2)[1]), content
    finally:
        writer.close()


def known_texts(model: Path) -> list[dict[str, Any]]:
    """Requests, and the text that the SavedModel's own `generate` answers."""
    import tensorflow as tf

    from components.served.folder import load_signatures

    generate = load_signatures(model)["generate"]
    chance = random.Random(0)
    rows = [
        {
            "prompt": "".join(chance.choices("abcdefgh ?", k=chance.choice((0, 1, 5, 40, 300)))),
            "max_length": chance.choice((1, 10, 50, 150)),
            "temperature": chance.choice((0.0, 0.5, 1.0)),
            "top_k": chance.choice((0, 0, 5)),
            "top_p": chance.choice((1.0, 1.0, 0.9)),
            "seed": seed,
        }
        for seed in range(_TEXTS)
    ]
    dtypes = {"prompt": tf.string, "temperature": tf.float32, "top_p": tf.float32, "seed": tf.int64}
    inputs = {name: tf.constant([row[name] for row in rows], dtypes.get(name, tf.int32)) for name in rows[0]}
    texts = generate(**inputs)["text"].numpy().tolist()
    return [{**row, "text": text.decode()} for row, text in zip(rows, texts, strict=True)]


async def soak(server: Server, process: psutil.Process, known: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Sends requests until the time is over."""
    end = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    memory: list[tuple[float, int]] = []

    async def good(number: int) -> None:
        chance = random.Random(number)
        while time.monotonic() < end:
            row = dict(chance.choice(known))
            text = row.pop("text")
            if chance.random() < 0.5:
                body = json.dumps({"instances": [row]}).encode()
                status, answer = await send(server.port, "POST /v1/models/rnn:predict", body)
                got = json.loads(answer)["predictions"][0]["text"] if status == 200 else answer
            else:
                body = json.dumps({**row, "stream": True}).encode()
                status, answer = await send(server.port, "POST /v1/models/rnn:generate", body)
                pieces = re.findall(r"event: piece\r?\ndata: (.*)", answer.decode())
                got = row["prompt"] + "".join(json.loads(piece)["piece"] for piece in pieces)
            counts["good"] += 1
            if got != text:
                wrong.append(f"{row}: {status} {got!r}, not {text!r}")

    async def bad(number: int) -> None:
        chance = random.Random(number)
        while time.monotonic() < end:
            line, body, wanted = chance.choice(BAD)
            status, _ = await send(server.port, line, body)
            counts["bad"] += 1
            if status != wanted:
                wrong.append(f"{line} {body[:60]!r}: {status}, not {wanted}")

    async def leaves(number: int) -> None:
        """Clients that go away in the middle of a stream, and sessions that nobody closes."""
        chance = random.Random(number)
        while time.monotonic() < end:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            body = json.dumps({"prompt": "a", "max_length": 5000, "stream": True}).encode()
            head = "POST /v1/models/rnn:generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            writer.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await reader.read(chance.choice((1, 200, 2000)))
            writer.close()
            counts["left"] += 1
            if counts["left"] % 10 == 0 and counts["sessions"] < 500:
                await send(server.port, "POST /v1/models/rnn/sessions", b"")
                counts["sessions"] += 1
            await asyncio.sleep(0.2)

    async def over_grpc() -> None:
        ask, seed = await grpc_client(server), 0
        while time.monotonic() < end:
            await ask(20, seed := seed + 1)
            counts["gRPC"] += 1

    async def watch() -> None:
        while time.monotonic() < end:
            memory.append((time.monotonic(), process.memory_info().rss))
            await asyncio.sleep(_WATCH_SECONDS)

    await asyncio.gather(*map(good, range(6)), *map(bad, range(3)), leaves(0), over_grpc(), over_grpc(), watch())
    warm = [rss for moment, rss in memory if moment > end - 0.8 * seconds]
    part = max(1, len(warm) // 8)
    before, after = sum(warm[:part]) / part, sum(warm[-part:]) / part
    return {
        **counts,
        "wrong": len(wrong),
        "first_wrong": wrong[:3],
        "rss_mib": [round(before / 2**20, 1), round(after / 2**20, 1)],
        "growth": after / before - 1,
    }


def main() -> None:
    """Runs it once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="2x256", help="default: 2x256")
    parser.add_argument("--minutes", type=float, default=10.0, help="default: 10")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        export(SIZES[arguments.size], Path(folder))
        versions = Path(folder, "serving")
        versions.mkdir()
        Path(folder, "exported_model").rename(versions / "1")
        known = known_texts(versions / "1")
        server = Server(versions)
        try:
            result = asyncio.run(soak(server, psutil.Process(server.pid), known, 60 * arguments.minutes))
        finally:
            server.close()
    print(json.dumps({"size": arguments.size, "minutes": arguments.minutes, **result}, indent=1))


if __name__ == "__main__":
    main()
