{{/* A pod of `helm test`. Takes root; name; script, the name of a file; env. */}}
{{- define "meshwright.test" -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ .root.Release.Name }}-{{ .name }}
  labels:
    {{- include "meshwright.labels" (dict "root" .root "name" "operator") | nindent 4 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
    {{- if .root.Values.linkerd.enabled }}
    linkerd.io/inject: enabled
    config.linkerd.io/default-inbound-policy: deny
    {{- end }}
spec:
  serviceAccountName: {{ .root.Release.Name }}-operator
  automountServiceAccountToken: false
  enableServiceLinks: false
  restartPolicy: Never
  {{- include "meshwright.pull-secrets" (dict "root" .root "spec" dict) | nindent 2 }}
  securityContext:
    {{- include "meshwright.pod-security" (dict "user" 10001) | nindent 4 }}
  containers:
    - name: check
      {{- $check := dict "command" (list "python" "-c" (.root.Files.Get (printf "files/check-%s.py" .name))) }}
      {{- include "meshwright.program" (dict "root" .root "spec" $check) | nindent 6 }}
      env:
        {{- toYaml .env | nindent 8 }}
      resources:
        requests: {cpu: 50m, memory: 64Mi}
        limits: {memory: 128Mi}
  volumes:
    {{- include "meshwright.volumes" .root | nindent 4 }}
{{- end }}
