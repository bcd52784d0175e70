package envoy.authz

default allow := false

allow if {
	some host in data.hosts
	host == input.attributes.request.http.host
	every s in input.parsed_path { s != "x" }
}

seen contains x if { x := [y | some y in data.list][_] }

f(x) := y if { y := x + 1 } else := 2
