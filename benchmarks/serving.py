"""The server under load: `python -m benchmarks.serving` prints a table and, last, one line of JSON.

A real server on loopback, with one client, eight and 64 at once, over HTTP and over gRPC; each sends its next request
when the last is answered. Before that, one client's text of 200 characters beside direct calls of the same SavedModel.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.sampling import ENGINE, LENGTH, SAVED_MODEL, SIZES, Contender, export

CLIENTS = (1, 8, 64)
_START_SECONDS = 180
# Sends one request for a text of so many characters.
Ask = Callable[[int, int], Awaitable[None]]


class Server:
    """A server process that serves a folder of versions, on free ports."""

    def __init__(self, model: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "run_pipeline.py", "serve", "--model", str(model), "--port", "0", "--grpc-port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        ports = re.findall(r":(\d+)", self._process.stdout.readline())
        self.port, self.grpc_port = int(ports[0]), int(ports[1])
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("The server did not become ready.")
            time.sleep(0.2)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def close(self) -> None:
        """Ends the process as an operator would."""
        self._process.terminate()
        self._process.wait(60)


async def http_client(server: Server) -> Ask:
    """A client with a connection of its own, kept alive."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

    async def ask(length: int, seed: int) -> None:
        body = json.dumps({"instances": [{"prompt": "ab", "max_length": length, "seed": seed}]}).encode()
        writer.write(
            b"POST /v1/models/rnn:predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", head.lower())
        assert size is not None
        answer = json.loads(await reader.readexactly(int(size[1])))
        if len(answer["predictions"][0]["text"]) != 2 + length:
            raise RuntimeError(f"The server must answer {length} characters. Received: {answer}.")

    return ask


async def grpc_client(server: Server) -> Ask:
    """A client with a channel of its own."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc_port}", [("grpc.use_local_subchannel_pool", 1)])
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    async def ask(length: int, seed: int) -> None:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "rnn"
        request.inputs["prompt"].CopyFrom(tf.make_tensor_proto([b"ab"]))
        request.inputs["max_length"].CopyFrom(tf.make_tensor_proto([length]))
        request.inputs["seed"].CopyFrom(tf.make_tensor_proto([seed], tf.int64))
        answer = await stub.Predict(request)
        if len(answer.outputs["text"].string_val[0]) != 2 + length:
            raise RuntimeError(f"The server must answer {length} characters. Received: {answer}.")

    return ask


async def load(make: Callable[[], Awaitable[Ask]], clients: int, length: int, seconds: float) -> list[float]:
    """Seconds of each answer, of clients that ask one thing after the other for a while."""
    asks = [await make() for _ in range(clients)]
    for ask in asks:
        await ask(1, 0)
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def go_on(ask: Ask, number: int) -> None:
        seed = number * 1_000_000
        while (start := time.perf_counter()) < end:
            seed += 1
            await ask(length, seed)
            times.append(time.perf_counter() - start)

    await asyncio.gather(*(go_on(ask, number) for number, ask in enumerate(asks)))
    return times


def measure(name: str, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Times one client beside direct calls, then more and more clients."""
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        export(SIZES[name], Path(folder))
        exported = Path(folder, "exported_model")
        versions = Path(folder, "serving")
        versions.mkdir()
        exported.rename(versions / "1")
        server = Server(versions)
        try:
            direct = [Contender(contender, name, versions / "1") for contender in (SAVED_MODEL, ENGINE)]
            times: dict[str, list[float]] = {"HTTP": [], "gRPC": [], SAVED_MODEL: [], ENGINE: []}
            makes = {"HTTP": lambda: http_client(server), "gRPC": lambda: grpc_client(server)}
            for _ in range(rounds):
                for contender in direct:
                    times[contender.name].append(contender.ask("time 1"))
                for protocol, make in makes.items():
                    answers = asyncio.run(load(make, 1, LENGTH, 0.5))
                    times[protocol].append(statistics.median(answers))
            for contender in direct:
                contender.close()
            for what, values in times.items():
                over = statistics.median(v / d for v, d in zip(values[1:], times[SAVED_MODEL][1:], strict=True))
                results.append(
                    {"size": name, "what": what, "ms": 1e3 * statistics.median(values[1:]), "to_direct_call": over}
                )
            for protocol, make in makes.items():
                for clients in CLIENTS:
                    answers = sorted(asyncio.run(load(make, clients, 50, seconds)))
                    results.append(
                        {
                            "size": name,
                            "protocol": protocol,
                            "clients": clients,
                            "requests_per_s": len(answers) / seconds,
                            "p50_ms": 1e3 * answers[len(answers) // 2],
                            "p99_ms": 1e3 * answers[min(len(answers) - 1, len(answers) * 99 // 100)],
                        }
                    )
        finally:
            server.close()
    return results


def show(results: list[dict[str, Any]]) -> None:
    """Prints both tables."""
    for row in results:
        if "what" in row:
            print(f"  {row['what']:20} {LENGTH} characters: {row['ms']:8.1f} ms, {row['to_direct_call']:.2f} of the "
                  "SavedModel called directly", flush=True)  # fmt: skip
    print(f"  {'protocol':10}{'clients':>8}{'requests/s':>12}{'p50, ms':>10}{'p99, ms':>10}{'to one':>8}", flush=True)
    one: dict[str, float] = {}
    for row in results:
        if "clients" in row:
            one.setdefault(row["protocol"], row["requests_per_s"])
            print(f"  {row['protocol']:10}{row['clients']:8}{row['requests_per_s']:12.1f}{row['p50_ms']:10.1f}"
                  f"{row['p99_ms']:10.1f}{row['requests_per_s'] / one[row['protocol']]:8.2f}", flush=True)  # fmt: skip


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="default: all")
    parser.add_argument("--seconds", type=float, default=10.0, help="of load for each number of clients (default: 10)")
    parser.add_argument("--rounds", type=int, default=6, help="of the first table (default: 6)")
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    for name in arguments.sizes:
        print(f"{name}, texts of 50 characters, {time.strftime('%Y-%m-%d')}", flush=True)
        measured = measure(name, arguments.seconds, arguments.rounds)
        show(measured)
        results += measured
    print(json.dumps(results))


if __name__ == "__main__":
    main()
