{{/* Admits the callers of one authentication. Takes name, labels, target, authentication. */}}
{{- define "meshwright.authorization" -}}
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata:
  name: {{ .name }}
  labels:
    {{- .labels | nindent 4 }}
spec:
  targetRef:
    {{- toYaml .target | nindent 4 }}
  requiredAuthenticationRefs:
    - group: policy.linkerd.io
      kind: {{ .authentication.kind }}
      name: {{ .authentication.name }}
{{- end }}

{{/*
Callers that a proxy identifies by their certificates. Takes root, name, labels, accounts:
ServiceAccounts as {name, namespace}.
*/}}
{{- define "meshwright.authentication" -}}
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata:
  name: {{ .name }}
  labels:
    {{- .labels | nindent 4 }}
spec:
  identityRefs:
    {{- range .accounts }}
    - kind: ServiceAccount
      name: {{ .name }}
      namespace: {{ .namespace }}
    {{- end }}
{{- end }}

{{/* The ServiceAccounts of workloads, as a JSON list. Takes root, names. */}}
{{- define "meshwright.accounts" -}}
{{- $accounts := list }}
{{- range .names }}
{{- $name := include "meshwright.fullname" (dict "root" $.root "name" .) }}
{{- $accounts = append $accounts (dict "name" $name "namespace" $.root.Release.Namespace) }}
{{- end }}
{{- $accounts | toJson }}
{{- end }}
