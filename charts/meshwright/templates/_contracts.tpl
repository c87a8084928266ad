{{/* What the contracts say, as JSON: workload → gRPC service → method → who calls it, how long it may take, … */}}
{{- define "meshwright.contracts" -}}
{{ .Files.Get "contracts.yaml" | fromYaml | toJson }}
{{- end }}

{{/* What they say of events, as JSON: service → {publishes, consumes}. */}}
{{- define "meshwright.events" -}}
{{ .Files.Get "events.yaml" | fromYaml | toJson }}
{{- end }}

{{/* What they say of one workload. */}}
{{- define "meshwright.methods" -}}
{{ get (include "meshwright.contracts" .root | fromJson) .name | default dict | toJson }}
{{- end }}

{{/* The workloads that a list of callers stands for, as a JSON list: "*" is all of them. */}}
{{- define "meshwright.callers" -}}
{{- if has "*" .callers -}}
{{ append (keys (include "meshwright.contracts" .root | fromJson)) "edge" | sortAlpha | toJson }}
{{- else -}}
{{ .callers | toJson }}
{{- end -}}
{{- end }}

{{/*
The methods of a workload by who calls them, as JSON: {"edge-orders": {"callers": […], "methods": [{"service", "method"}]}}.
Each method is in one group only: were it in two routes of a Server, the older one alone would count.
*/}}
{{- define "meshwright.caller-groups" -}}
{{- $groups := dict }}
{{- range $service, $methods := include "meshwright.methods" . | fromJson }}
{{- range $method, $said := $methods }}
{{- $key := has "*" $said.callers | ternary "all" (join "-" $said.callers | replace "_" "-") }}
{{- $group := get $groups $key | default (dict "methods" list) }}
{{- $methods := append $group.methods (dict "service" $service "method" $method) }}
{{- $callers := include "meshwright.callers" (dict "root" $.root "callers" $said.callers) | fromJsonArray }}
{{- $_ := set $groups $key (dict "callers" $callers "methods" $methods) }}
{{- end }}
{{- end }}
{{- $groups | toJson }}
{{- end }}

{{/*
The methods of a workload by how calls of them are treated on their way, as JSON: {"retried-2s": {"retried": true, "timeout":
"2s", "methods": […]}}. Only what the contract calls idempotent is retried, and no stream that the caller sends.
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

{{/* The workloads that call others as themselves, with a token of their own, as a JSON list: callers of what the edge does not call. */}}
{{- define "meshwright.clients" -}}
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

{{/* Who calls any method of a workload, as a JSON list. */}}
{{- define "meshwright.all-callers" -}}
{{- $callers := list }}
{{- range include "meshwright.caller-groups" . | fromJson }}{{ $callers = concat $callers .callers | uniq }}{{ end }}
{{- $callers | sortAlpha | toJson }}
{{- end }}
