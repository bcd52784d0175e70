import asyncio, os, sys
import aiohttp


async def main():
    # `trust_env=True` is the only way to make aiohttp read the proxy variables.
    async with aiohttp.ClientSession(trust_env="trust_env" in sys.argv) as session:
        if "websocket" in sys.argv:
            address = os.environ["BASE"].replace("http", "ws", 1) + "/"
            async with session.ws_connect(address, timeout=20) as socket:
                print(await socket.receive())
        else:
            async with session.get(os.environ["BASE"] + "/") as answer:
                print(answer.status, await answer.text())


asyncio.run(main())
