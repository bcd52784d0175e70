"""Relays between plain TCP and TLS, byte by byte. Listens on the socket that is its standard input.

serve ALPN ADDRESS CERTIFICATE KEY   takes TLS, goes on to the plain server at ADDRESS
dial ALPN AUTHORITY ROOTS PROXY      takes plain TCP, goes on through a CONNECT to AUTHORITY and over TLS inside
"""

import asyncio
import socket
import ssl
import sys


def endpoint(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def tunnel(proxy, authority):
    connection = socket.create_connection(endpoint(proxy))
    connection.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError(f"the proxy closed after {head}")
        head += byte
    if head.split()[1] != b"200":
        raise ConnectionError(f"the proxy refused: {head}")
    connection.setblocking(False)
    return connection


async def copy(reader, writer):
    try:
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # The other side sees the connection close: that is the relay's whole answer.
    finally:
        writer.close()


def relay(onward):
    async def connected(reader, writer):
        try:
            next_reader, next_writer = await onward()
        except OSError as error:
            print(f"cannot go on: {error}", file=sys.stderr, flush=True)
            writer.close()
            return
        await asyncio.gather(copy(reader, next_writer), copy(next_reader, writer))

    return connected


async def main(mode, protocol, *arguments):
    listening = socket.socket(fileno=sys.stdin.fileno())
    if mode == "serve":
        address, certificate, key = arguments
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        context.set_alpn_protocols([protocol])

        def onward():
            return asyncio.open_connection(*endpoint(address))

        server = await asyncio.start_server(relay(onward), sock=listening, ssl=context)
    else:
        authority, roots, proxy = arguments
        context = ssl.create_default_context(cafile=roots)
        context.set_alpn_protocols([protocol])

        async def onward():
            connection = await asyncio.get_running_loop().run_in_executor(None, tunnel, proxy, authority)
            return await asyncio.open_connection(
                sock=connection, ssl=context, server_hostname=endpoint(authority)[0]
            )

        server = await asyncio.start_server(relay(onward), sock=listening)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
