{{/*
The accounts that may call health checks and reflection: the chart's own ServiceAccount for
operators, and those of the values.
*/}}
{{- define "meshwright.operators" -}}
{{ prepend (.Values.linkerd.operators | default list) (dict "name" (printf "%s-operator" .Release.Name) "namespace" .Release.Namespace) | toJson }}
{{- end }}

{{/* The methods that grpcurl needs: health checks and reflection. */}}
{{- define "meshwright.operators-methods" -}}
{{- $methods := list }}
{{- range list "grpc.health.v1.Health" "grpc.reflection.v1.ServerReflection" "grpc.reflection.v1alpha.ServerReflection" }}
{{- $methods = append $methods (dict "service" .) }}
{{- end }}
{{- $methods | toJson }}
{{- end }}
