{{/*
What a template writes for the chart's context. Each render includes that template only once: those that
are asked for a hundred times would take most of its time. Takes root, name.
*/}}
{{- define "meshwright.once" -}}
{{- if not (hasKey .root .name) }}{{ $_ := set .root .name (include .name .root) }}{{ end }}
{{- get .root .name }}
{{- end }}

{{/*
The facts of the contracts, as JSON: workload → gRPC service → method → callers, timeout, …
*/}}
{{- define "meshwright.contracts" -}}
{{ include "meshwright.once" (dict "root" . "name" "meshwright.read-contracts") }}
{{- end }}

{{- define "meshwright.read-contracts" -}}
{{ .Files.Get "contracts.yaml" | fromYaml | toJson }}
{{- end }}

{{/* The events of the contracts, as JSON: service → {publishes, consumes}. */}}
{{- define "meshwright.events" -}}
{{ include "meshwright.once" (dict "root" . "name" "meshwright.read-events") }}
{{- end }}

{{- define "meshwright.read-events" -}}
{{ .Files.Get "events.yaml" | fromYaml | toJson }}
{{- end }}

{{/* The methods of one workload, as JSON. */}}
{{- define "meshwright.methods" -}}
{{ get (include "meshwright.contracts" .root | fromJson) .name | default dict | toJson }}
{{- end }}

{{/* The workloads in a list of callers, as a JSON list. "*" is all of them. */}}
{{- define "meshwright.callers" -}}
{{- if has "*" .callers -}}
{{ append (keys (include "meshwright.contracts" .root | fromJson)) "edge" | sortAlpha | toJson }}
{{- else -}}
{{ .callers | toJson }}
{{- end -}}
{{- end }}

{{/*
The methods of a workload by their callers, as JSON: {"edge-orders": {"callers": […], "methods":
[{"service", "method"}]}}. Each method is in one group only: of two routes of a Server with the same
method, only the older one counts. Different callers have different keys: order_items is order.items,
because order-items is two workloads. A key is part of names, which have at most 253 characters.
*/}}
{{- define "meshwright.caller-groups" -}}
{{- $groups := dict }}
{{- range $service, $methods := include "meshwright.methods" . | fromJson }}
{{- range $method, $said := $methods }}
{{- $key := has "*" $said.callers | ternary "all" (join "-" $said.callers | replace "_" ".") }}
{{- if gt (len $key) 160 }}{{ $key = sha256sum $key | trunc 32 }}{{ end }}
{{- $group := get $groups $key | default (dict "methods" list) }}
{{- $methods := append $group.methods (dict "service" $service "method" $method) }}
{{- $callers := include "meshwright.callers" (dict "root" $.root "callers" $said.callers) | fromJsonArray }}
{{- $_ := set $groups $key (dict "callers" $callers "methods" $methods) }}
{{- end }}
{{- end }}
{{- $groups | toJson }}
{{- end }}

{{/*
The methods of a workload by retries and timeout, as JSON: {"retried-2s": {"retried": true,
"timeout": "2s", "methods": […]}}. Only methods that the contract declares idempotent are retried,
and none whose requests are a stream.
*/}}
{{- define "meshwright.delivery-groups" -}}
{{- $groups := dict }}
{{- range $service, $methods := include "meshwright.methods" . | fromJson }}
{{- range $method, $said := $methods }}
{{- $retried := and $said.idempotent (has $said.kind (list "unary" "server_streaming")) }}
{{- $key := printf "%s-%s" ($retried | ternary "retried" "once") ($said.timeout | default "unlimited") }}
{{- $group := get $groups $key | default (dict "methods" list) }}
{{- $methods := append $group.methods (dict "service" $service "method" $method) }}
{{- $_ := set $groups $key (dict "retried" $retried "timeout" $said.timeout "methods" $methods) }}
{{- end }}
{{- end }}
{{- $groups | toJson }}
{{- end }}

{{/*
Groups of methods as routes, as JSON: a rule of a GRPCRoute has at most 64 matches, so a larger group
becomes several routes, edge and edge-2. Takes the groups, by key.
*/}}
{{- define "meshwright.routes" -}}
{{- $routes := dict }}
{{- range $key, $group := . }}
{{- range $index, $methods := chunk 64 $group.methods }}
{{- $name := $index | eq 0 | ternary $key (printf "%s-%d" $key (add1 $index)) }}
{{- $_ := set $routes $name (mergeOverwrite (deepCopy $group) (dict "methods" $methods)) }}
{{- end }}
{{- end }}
{{- $routes | toJson }}
{{- end }}

{{/* The workloads that this one calls, as a JSON list: those with a method that names it. */}}
{{- define "meshwright.callees" -}}
{{- $callees := list }}
{{- range $workload, $services := include "meshwright.contracts" .root | fromJson }}
{{- range $services }}
{{- range . }}
{{- if has $.name .callers }}{{ $callees = append $callees $workload | uniq }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- $callees | sortAlpha | toJson }}
{{- end }}

{{/*
The workloads that call others as themselves, with a token of their own, as a JSON list: the callers
of methods that the edge does not call.
*/}}
{{- define "meshwright.clients" -}}
{{ include "meshwright.once" (dict "root" . "name" "meshwright.find-clients") }}
{{- end }}

{{- define "meshwright.find-clients" -}}
{{- $clients := list }}
{{- range include "meshwright.contracts" . | fromJson }}
{{- range . }}
{{- range . }}
{{- if not (has "edge" .callers) }}{{ $clients = concat $clients (without .callers "*") | uniq }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- $clients | sortAlpha | toJson }}
{{- end }}

{{/* The callers of any method of a workload, as a JSON list. */}}
{{- define "meshwright.all-callers" -}}
{{- $callers := list }}
{{- range include "meshwright.caller-groups" . | fromJson }}{{ $callers = concat $callers .callers | uniq }}{{ end }}
{{- $callers | sortAlpha | toJson }}
{{- end }}
