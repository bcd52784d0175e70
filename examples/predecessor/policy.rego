# The policy of the gateway that Weir replaces: one boolean, queried as data.intercept.allow.
# This file keeps the policy's faults. docs/predecessor.md lists the requests that Weir decides differently, and why.
package intercept

import rego.v1

default allow := false

request := input.attributes.request.http

# The name of the certificate that the proxy presented; undefined over plain HTTP.
principal := input.attributes.destination.principal

# The name that the policy judges.
host := principal

host := request.host if not principal

# Over TLS, the Host header must equal the certificate's name, byte for byte.
bound if not principal

bound if principal == request.host

reading if request.method in {"GET", "HEAD"}

writing if request.method in {"POST", "PUT", "PATCH", "DELETE"}

segments := split(request.path, "/")

allow if {
	bound
	host in data.allowed_domains
	reading
}

allow if {
	bound
	host in data.unrestricted_domains
}

allow if {
	bound
	data.github_read_access_enabled
	contains(host, "github")
	reading
}

# /repos/OWNER/NAME and every path below
allow if {
	bound
	contains(host, "github")
	writing
	segments[0] == ""
	segments[1] == "repos"
	concat("/", [segments[2], segments[3]]) in data.github_allowed_repos
}

# /users/NAME and every path below
allow if {
	bound
	contains(host, "github")
	writing
	segments[0] == ""
	segments[1] == "users"
	segments[2] in data.github_allowed_users
}
