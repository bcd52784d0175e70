# A policy for OPA's Envoy plugin: a build job may read the listed hosts, and publish packages of its own team.
package envoy.authz

import rego.v1

import input.attributes.request.http as request

default allow := false

allow if {
	request.host in data.read_only_hosts
	request.method in {"GET", "HEAD"}
}

allow if {
	request.host == data.registry
	request.method == "PUT"
	input.parsed_path[0] == "packages"
	input.parsed_path[1] in data.teams[team]
}

# A request to publish names its team in a header, and may name only that team's packages.
team := request.headers["x-team"]

default reason := "ask the platform team to list this host"

reason := "a request to publish needs the header x-team and a package of that team" if request.host == data.registry

result := {"allowed": true} if allow

result := {
	"allowed": false,
	"http_status": 403,
	"reason": reason,
	"headers": {"x-policy": "build-job"},
} if {
	not allow
}
