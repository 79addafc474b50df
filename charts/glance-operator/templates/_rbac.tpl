{{/* What the operator does with the resources that it looks after; exactly that. */}}
{{- define "glance-operator.resourceRules" -}}
- apiGroups: [glance-operator.dev]
  resources: [glanceimages]
  # Patched is the finalizer alone.
  verbs: [get, list, watch, patch]
- apiGroups: [glance-operator.dev]
  resources: [glanceimages/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  {{- if include "glance-operator.watchSecrets" . }}
  # Lists and watches ask for metadata only; the content is read of those that a GlanceImage names.
  verbs: [get, list, watch]
  {{- else }}
  verbs: [get]
  {{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- define "glance-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "glance-operator.serviceAccountName" . | quote }}
  namespace: {{ include "glance-operator.namespace" . | quote }}
{{- end -}}
