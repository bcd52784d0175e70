# The policy of the gateway that Weir replaces: one boolean, queried as data.intercept.allow.
# It is kept with its faults. What Weir decides otherwise, and why, is in docs/predecessor.md.
package envoy.authz

import rego.v1

default allow := false

request := input.attributes.request.http

# The name of the certificate that the proxy served. Over plain http there is none.
principal := input.attributes.destination.principal

# The name decided on.
host := principal

host := request.host if not principal

# Over TLS the Host header is the certificate's name, byte for byte.
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

# /repos/OWNER/NAME and whatever follows
allow if {
	bound
	contains(host, "github")
	writing
	segments[0] == ""
	segments[1] == "repos"
	concat("/", [segments[2], segments[3]]) in data.github_allowed_repos
}

# /users/NAME and whatever follows
allow if {
	bound
	contains(host, "github")
	writing
	segments[0] == ""
	segments[1] == "users"
	segments[2] in data.github_allowed_users
}
