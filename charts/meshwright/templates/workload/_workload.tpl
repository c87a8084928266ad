{{/*
All objects of one workload, the edge or a service. Takes a dict: root, the chart's context; kind,
edge or service; name; module, which Python runs; spec, its values merged with those of `workloads`;
ports, a list of {name, port} and, for those in its Service, {servicePort, appProtocol}.
*/}}
{{- define "meshwright.workload" -}}
{{ include "meshwright.service-account" . }}
---
{{ include "meshwright.service" . }}
---
{{ include "meshwright.deployment" . }}
---
{{ include "meshwright.pod-disruption-budget" . }}
{{- if .spec.autoscaling.enabled }}
---
{{ include "meshwright.horizontal-pod-autoscaler" . }}
{{- end }}
{{- end }}

{{/*
The services of this release whose values set a flag, `database` for example, as a JSON list.
*/}}
{{- define "meshwright.users-of" -}}
{{- $users := list }}
{{- range $name, $spec := include "meshwright.services" .root | fromJson }}
{{- if get $spec $.need }}{{ $users = append $users $name }}{{ end }}
{{- end }}
{{- $users | toJson }}
{{- end }}

{{/*
The services of this release, as JSON: name → spec, which is the defaults of workloads, what the
service declares, and the values, each over the one before; and the flags of the contracts for
services that publish or consume events.
*/}}
{{- define "meshwright.services" -}}
{{ include "meshwright.once" (dict "root" . "name" "meshwright.merge-services") }}
{{- end }}

{{- define "meshwright.merge-services" -}}
{{- $services := dict }}
{{- $declared := .Files.Get "services.yaml" | fromYaml }}
{{- $changed := .Values.services | default dict }}
{{- $events := include "meshwright.events" . | fromJson }}
{{- range $name := concat (keys $declared) (keys $changed) | uniq }}
{{- $values := get $changed $name | default dict }}
{{- if dig "enabled" true $values }}
{{- $spec := mergeOverwrite (deepCopy $.Values.workloads) (get $declared $name | default dict) (deepCopy $values) }}
{{- $_ := set $spec "events" (hasKey $events $name) }}
{{- if and $.Values.ownSecrets (not $spec.existingSecret) (or $spec.database $spec.events $spec.mail) }}
{{- $_ := set $spec "existingSecret" ($name | replace "_" "-") }}
{{- end }}
{{- $_ := set $services $name $spec }}
{{- end }}
{{- end }}
{{- $services | toJson }}
{{- end }}

{{/* The spec of the edge, as JSON; empty if this release has no edge. */}}
{{- define "meshwright.edge" -}}
{{ .Values.edge.enabled | ternary (mergeOverwrite (deepCopy .Values.workloads) (deepCopy .Values.edge)) dict | toJson }}
{{- end }}
