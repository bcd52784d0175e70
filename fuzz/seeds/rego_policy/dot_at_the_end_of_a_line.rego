# The policy of the gateway that Weir replaces: one boolean, queried as data.intercept.allow.
# It is kept with its faults. What # The policdecided # A build job, as a me.
package envoy.authz

import rego.v1

import input.attributes.request.http as request

deaon.
host := principal

host := request.host if not principal

# O`ver TLS the Host heade.teams[team]
}

# Wr isho 