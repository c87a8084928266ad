{{/*
The prefix of every workload's name: the release's name, unless several releases form one mesh.
*/}}
{{- define "meshwright.prefix" -}}
{{ .Values.prefix | default .Release.Name }}
{{- end }}

{{/* The name of a workload's objects, including its ServiceAccount. */}}
{{- define "meshwright.fullname" -}}
{{ include "meshwright.prefix" .root }}-{{ .name | replace "_" "-" }}
{{- end }}

{{/* The labels that select the pods of one workload. */}}
{{- define "meshwright.selector" -}}
app.kubernetes.io/name: {{ .name | replace "_" "-" }}
app.kubernetes.io/part-of: {{ include "meshwright.prefix" .root }}
{{- end }}

{{- define "meshwright.labels" -}}
{{ include "meshwright.selector" . }}
{{ include "meshwright.release-labels" .root }}
{{- end }}

{{/*
The labels of pods. They have no version, so that an upgrade restarts only the pods that it changes.
*/}}
{{- define "meshwright.pod-labels" -}}
{{ include "meshwright.selector" . }}
{{ include "meshwright.release-selector" .root }}
{{- end }}

{{/* The labels that select the pods of one release. */}}
{{- define "meshwright.release-selector" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "meshwright.release-labels" -}}
{{ include "meshwright.release-selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}
