{{/* Scales by the CPU of the process itself, without the mesh's proxy in the same pod. */}}
{{- define "meshwright.horizontal-pod-autoscaler" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "meshwright.fullname" . }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "meshwright.fullname" . }}
  minReplicas: {{ .spec.autoscaling.minReplicas }}
  maxReplicas: {{ .spec.autoscaling.maxReplicas }}
  metrics:
    - type: ContainerResource
      containerResource:
        name: cpu
        container: {{ .name | replace "_" "-" }}
        target:
          type: Utilization
          averageUtilization: {{ .spec.autoscaling.cpuPercent }}
{{- end }}
