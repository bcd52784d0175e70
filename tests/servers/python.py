"""Answers with the path that each of Python's ways makes of the request, and prints the port that it listens on."""

import http.server
import json
import posixpath
import urllib.parse


def served(handler):
    target = handler.requestline.split()[1]
    ways = {
        "http.server": lambda: handler.path.split("?", 1)[0].split("#", 1)[0],
        "urlsplit": lambda: urllib.parse.urlsplit(target).path,
        "urlparse": lambda: urllib.parse.urlparse(target).path,
    }
    paths = {}
    for name, way in ways.items():
        try:
            paths[name] = urllib.parse.unquote(way())
        except ValueError:
            paths[name] = None  # It serves nothing for such a target.
    paths["a file"] = posixpath.normpath(paths["http.server"])
    return json.dumps(paths).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content = served(self)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
