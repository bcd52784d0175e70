package envoy.authz

allow if http.send({"a": 1}) with input as {}

allow if data.envoy.authz.allow

allow if sprintf("%999d", [1]) == concat(input.x, [])
