// Answers with the path that each of Node's URL parsers makes of the request, and prints the port that it listens on.

const http = require("http");
const url = require("url");

// Fastify 4's router, `find-my-way`, begins the query at the first `;` as at `?` and `#`.
const beforeAnyDelimiter = (target) => target.split(/[?;#]/, 1)[0];

const PARSERS = {
  "url.parse": (target) => url.parse(target).pathname,
  "url.parse with a host": (target) => url.parse(target, false, true).pathname,
  "find-my-way": beforeAnyDelimiter,
  "new URL": (target) => new URL(target, "http://node.test").pathname,
};

function served(target) {
  const paths = {};
  for (const [name, parse] of Object.entries(PARSERS)) {
    try {
      paths[name] = decodeURIComponent(parse(target));
    } catch {
      paths[name] = null; // It serves nothing for such a target.
    }
  }
  return JSON.stringify(paths);
}

const server = http.createServer((request, response) => response.end(served(request.url)));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
