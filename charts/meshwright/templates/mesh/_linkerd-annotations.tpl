{{/* A pod in the mesh: whoever no policy lets in is denied, whatever the cluster's default is. */}}
{{- define "meshwright.linkerd-annotations" -}}
linkerd.io/inject: enabled
config.linkerd.io/default-inbound-policy: deny
config.linkerd.io/shutdown-grace-period: {{ sub (include "meshwright.termination-grace-s" .) 5 }}s
{{- end }}

{{/* A pod that keeps failing is left alone for a while. Never on the edge: its callers are the public. */}}
{{- define "meshwright.circuit-breaker" -}}
balancer.linkerd.io/failure-accrual: consecutive
balancer.linkerd.io/failure-accrual-consecutive-max-failures: "7"
balancer.linkerd.io/failure-accrual-consecutive-min-penalty: 1s
balancer.linkerd.io/failure-accrual-consecutive-max-penalty: 30s
{{- end }}
