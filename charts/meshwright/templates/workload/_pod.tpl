{{- define "meshwright.pod" -}}
{{ include "meshwright.pod-base" (dict "root" .root "name" .name "spec" .spec "user" 10001) }}
topologySpreadConstraints:
  {{- include "meshwright.topology-spread" . | nindent 2 }}
{{- if .spec.database }}
initContainers:
  - {{- include "meshwright.migrations" . | nindent 4 }}
{{- end }}
containers:
  - {{- include "meshwright.container" . | nindent 4 }}
volumes:
  {{- include "meshwright.volumes" .root | nindent 2 }}
{{- end }}

{{/* The fields that all pods of the release share. Takes root; name; spec; user, the id that it runs as. */}}
{{- define "meshwright.pod-base" -}}
serviceAccountName: {{ include "meshwright.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "meshwright.pull-secrets" . }}
terminationGracePeriodSeconds: {{ include "meshwright.termination-grace-s" . }}
securityContext:
  {{- include "meshwright.pod-security" (dict "user" .user) | nindent 2 }}
{{- end }}

{{/* The volumes of pods with our image. */}}
{{- define "meshwright.volumes" -}}
{{ include "meshwright.tmp-volume" . }}
{{- with (.Values.authorities).configMap }}
- name: authorities
  configMap:
    name: {{ . }}
{{- end }}
{{- end }}

{{- define "meshwright.tmp-volume" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- end }}

{{/*
Changed connections restart the pods, which read them at their start: URLs of the values, and URLs that another version of the chart
makes differently, for example with another user. Passwords are left out, because a Secret keeps them.
*/}}
{{- define "meshwright.pod-annotations" -}}
kubectl.kubernetes.io/default-container: {{ .name | replace "_" "-" }}
{{- $unkept := dict "own" dict "clients" dict "databases" dict "broker" dict }}
checksum/connections: {{ list .spec.existingSecret (include "meshwright.secret-environment" (merge (dict "generated" $unkept) .)) | toJson | sha256sum | trunc 16 }}
{{- $annotations := dict }}
{{- if .root.Values.linkerd.enabled }}
{{- $annotations = include "meshwright.linkerd-annotations" . | fromYaml }}
{{- with include "meshwright.skipped-ports" . }}{{ $_ := set $annotations "config.linkerd.io/skip-outbound-ports" . }}{{ end }}
{{- end }}
{{- with mergeOverwrite $annotations (.spec.podAnnotations | default dict) }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "meshwright.pull-secrets" -}}
{{- with (include "meshwright.image" . | fromJson).pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The security context of a pod that meets Pod Security "restricted". */}}
{{- define "meshwright.pod-security" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "meshwright.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "meshwright.topology-spread" -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" -}}
- topologyKey: {{ . }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- include "meshwright.selector" $ | nindent 6 }}
{{ end }}
{{- end }}
