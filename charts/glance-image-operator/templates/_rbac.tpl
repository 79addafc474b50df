{{/* What the operator does with the resources that it looks after; exactly that. */}}
{{- define "glance-image-operator.resourceRules" -}}
- apiGroups: [glance-image-operator.dev]
  resources: [glanceimages]
  # Patched is the finalizer alone.
  verbs: [get, list, watch, patch]
- apiGroups: [glance-image-operator.dev]
  resources: [glanceimages/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  {{- if include "glance-image-operator.watchSecrets" . }}
  # Lists and watches ask for metadata only; the content is read of those that a GlanceImage names.
  verbs: [get, list, watch]
  {{- else }}
  verbs: [get]
  {{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- define "glance-image-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "glance-image-operator.serviceAccountName" . | quote }}
  namespace: {{ include "glance-image-operator.namespace" . | quote }}
{{- end -}}
