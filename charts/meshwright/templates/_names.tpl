{{/* The beginning of every workload's name: the release's, unless several releases make up one mesh. */}}
{{- define "meshwright.prefix" -}}
{{ .Values.prefix | default .Release.Name }}
{{- end }}

{{/* The name of a workload's objects, its ServiceAccount included. */}}
{{- define "meshwright.fullname" -}}
{{ include "meshwright.prefix" .root }}-{{ .name | replace "_" "-" }}
{{- end }}

{{/* What tells the pods of one workload from all others. */}}
{{- define "meshwright.selector" -}}
app.kubernetes.io/name: {{ .name | replace "_" "-" }}
app.kubernetes.io/part-of: {{ include "meshwright.prefix" .root }}
{{- end }}

{{- define "meshwright.labels" -}}
{{ include "meshwright.selector" . }}
{{ include "meshwright.release-labels" .root }}
{{- end }}

{{/* Of pods: no version, so that an upgrade restarts only those that it changes. */}}
{{- define "meshwright.pod-labels" -}}
{{ include "meshwright.selector" . }}
{{ include "meshwright.release-selector" .root }}
{{- end }}

{{/* What tells the pods of one release from all others. */}}
{{- define "meshwright.release-selector" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "meshwright.release-labels" -}}
{{ include "meshwright.release-selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
