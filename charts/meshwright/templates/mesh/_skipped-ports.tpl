{{/*
The ports of servers of the operator's own, as text: 4222,5672. Linkerd reads the first bytes of a
connection to find its protocol, for up to 10 s. From a client of NATS, which waits for the server,
none come, and those of RabbitMQ and PostgreSQL are too few, so that the client gives up before.
Ports that Linkerd treats as opaque by default are left out. Takes root, spec.
*/}}
{{- define "meshwright.skipped-ports" -}}
{{- $ports := list }}
{{- if .root.Values.linkerd.skipOutside }}
{{- range include "meshwright.own-servers" . | fromJsonArray }}
{{- $url := include "meshwright.outside-url" (dict "root" $.root "spec" $.spec "name" .) }}
{{- $outside := get $.root.Values.networkPolicies.outside . }}
{{- $ports = concat $ports (include "meshwright.outside-ports" (dict "ports" $outside.ports "url" $url) | fromJsonArray) | uniq }}
{{- end }}
{{- end }}
{{- range list 25 587 5432 }}{{ $ports = without $ports (float64 .) }}{{ end }}
{{- range list 9000 8080 }}
{{- if has (float64 .) $ports }}
{{- fail (printf "\n\nA URL or networkPolicies.outside names the port %d, which is a port of the mesh, too. Linkerd skips ports, whatever the address: calls to other pods would leave without mTLS, and be denied. Let the server listen on another port, or set linkerd.skipOutside=false." .) }}
{{- end }}
{{- end }}
{{- join "," $ports }}
{{- end }}
