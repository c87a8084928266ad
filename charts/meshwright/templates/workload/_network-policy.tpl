{{/*
Who may open a connection to a workload. Takes root; name; port, the name of the one that serves; from, the workloads that may,
everyone where it is left out. Meshed traffic arrives at 4143; which method it may then call, Linkerd decides.
*/}}
{{- define "meshwright.network-policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "meshwright.fullname" . }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "meshwright.selector" . | nindent 6 }}
  policyTypes: [Ingress]
  ingress:
    - ports:
        {{- include "meshwright.network-ports" (dict "root" .root "ports" (list .port)) | nindent 8 }}
      {{- if hasKey . "from" }}
      from:
        - podSelector:
            matchLabels:
              app.kubernetes.io/part-of: {{ include "meshwright.prefix" .root }}
            matchExpressions:
              - {key: app.kubernetes.io/name, operator: In, values: {{ .from | toJson | replace "_" "-" }}}
      {{- end }}
    {{- with .root.Values.monitoring.prometheus }}
    - ports:
        {{- include "meshwright.network-ports" (dict "root" $.root "ports" (list "ops" 4191)) | nindent 8 }}
      from:
        {{- range . }}
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: {{ .namespace }}
        {{- end }}
    {{- end }}
{{- end }}

{{- define "meshwright.network-ports" -}}
{{- range .ports -}}
- port: {{ . }}
{{ end }}
{{- if .root.Values.linkerd.enabled -}}
- port: 4143
{{- end }}
{{- end }}
