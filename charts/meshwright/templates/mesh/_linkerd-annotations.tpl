{{/*
A meshed pod. It denies every caller that no policy admits, whatever the default of the cluster is.
*/}}
{{- define "meshwright.linkerd-annotations" -}}
linkerd.io/inject: enabled
config.linkerd.io/default-inbound-policy: deny
config.linkerd.io/shutdown-grace-period: {{ sub (include "meshwright.termination-grace-s" .) 5 }}s
{{- end }}

{{/*
Circuit breaking: a pod that keeps failing gets no calls for a while. Never for the edge, whose
callers are not in the mesh.
*/}}
{{- define "meshwright.circuit-breaker" -}}
balancer.linkerd.io/failure-accrual: consecutive
balancer.linkerd.io/failure-accrual-consecutive-max-failures: "7"
balancer.linkerd.io/failure-accrual-consecutive-min-penalty: 1s
balancer.linkerd.io/failure-accrual-consecutive-max-penalty: 30s
{{- end }}
