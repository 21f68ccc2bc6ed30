"""Debian's python3-websockets against examples/conformance: /usr/bin/python3 peer.py ws://127.0.0.1:9321"""

import asyncio
import json
import sys

import websockets

base = sys.argv[1]


async def ask(ws, message, want):
    await ws.send(json.dumps(message))
    got = json.loads(await ws.recv())
    assert got == want, (got, want)


async def refused(status, path, **options):
    try:
        async with websockets.connect(base + path, **options):
            pass
    except websockets.exceptions.InvalidHandshake as e:
        got = getattr(e, "status_code", None) or e.response.status_code
        assert got == status, (got, status)
        return
    raise AssertionError(f"{path} let in, want {status}")


async def main():
    async with websockets.connect(base + "/ws", subprotocols=["wsx.v1"]) as ws:
        assert ws.subprotocol == "wsx.v1", ws.subprotocol
        await ask(ws, {"type": "rpc.request", "id": 1, "method": "add", "params": {"a": 2, "b": 40}}, {"type": "rpc.response", "id": 1, "result": {"sum": 42}})
        await ask(ws, {"jsonrpc": "2.0", "id": 2, "method": "subtract", "params": [42, 23]}, {"jsonrpc": "2.0", "id": 2, "result": 19})
        await ask(ws, [{"jsonrpc": "2.0", "id": 3, "method": "sum", "params": [1, 2, 4]}], [{"jsonrpc": "2.0", "id": 3, "result": 7}])

        await ws.send(b'{"type":"rpc.ping","id":"binary"}')
        assert json.loads(await ws.recv()) == {"type": "rpc.pong", "id": "binary"}

        await ask(ws, {"type": "rpc.request", "id": "big", "method": "echo", "params": "è" * 10_000}, {"type": "rpc.response", "id": "big", "result": "è" * 10_000})
        await ws.send(['{"type":"rpc.', 'ping","id":"in ', 'three frames"}'])
        assert json.loads(await ws.recv()) == {"type": "rpc.pong", "id": "in three frames"}

        await ws.send(json.dumps({"type": "rpc.request", "id": "n", "method": "count", "params": {"n": 100}}))
        for i in range(100):
            assert json.loads(await ws.recv()) == {"type": "rpc.stream", "id": "n", "item": i, "seq": i}
        assert json.loads(await ws.recv()) == {"type": "rpc.response", "id": "n", "result": {"count": 100}}

        await ws.send(json.dumps({"type": "rpc.request", "id": "c", "method": "callback", "params": {"method": "name", "params": None}}))
        call = json.loads(await ws.recv())
        assert call["method"] == "name", call
        await ask(ws, {"type": "rpc.response", "id": call["id"], "result": "websockets"}, {"type": "rpc.response", "id": "c", "result": "websockets"})

        await ws.send(json.dumps({"type": "rpc.subscribe", "id": "s", "channel": "plain.python"}))
        subscription = json.loads(await ws.recv())["result"]["subscription"]
        await ws.send(json.dumps({"type": "rpc.request", "id": "p", "method": "publish", "params": {"channel": "plain.python", "payload": [1]}}))
        both = sorted([json.loads(await ws.recv()), json.loads(await ws.recv())], key=lambda m: m["type"])
        assert both == [
            {"type": "rpc.event", "channel": "plain.python", "payload": [1], "meta": {"sub_id": subscription}},
            {"type": "rpc.response", "id": "p", "result": {}},
        ], both

        await ws.send("WSX://" + json.dumps({"id": "t", "method": "GET", "path": "/hello/python"}))
        answer = await ws.recv()
        assert answer.startswith("WSX://") and json.loads(answer[6:])["data"] == {"hello": "python"}, answer

        await asyncio.wait_for(await ws.ping(b"still there?"), 10)

    async with websockets.connect(base + "/ws") as ws:
        await ws.send("x" * 70_000)
        try:
            await ws.recv()
            raise AssertionError("a message of 70,000 bytes was taken")
        except websockets.exceptions.ConnectionClosed as e:
            assert e.rcvd and e.rcvd.code == 1009, e

    await refused(401, "/ws-auth")
    await refused(403, "/ws", origin="https://evil.example")


asyncio.run(asyncio.wait_for(main(), 30))
print("ok: python3-websockets", getattr(websockets, "__version__", None) or websockets.version.version)
