{{/* What the operator does with the resources that it manages, and no more. */}}
{{- define "glance-image-operator.resourceRules" -}}
- apiGroups: [glance-image-operator.dev]
  resources: [glanceimages]
  # `patch` is for the finalizer only.
  verbs: [get, list, watch, patch]
- apiGroups: [glance-image-operator.dev]
  resources: [glanceimages/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  {{- if include "glance-image-operator.watchSecrets" . }}
  # The operator lists and watches metadata only, and reads the content of the Secrets that a GlanceImage names.
  verbs: [get, list, watch]
  {{- else }}
  verbs: [get]
  {{- end }}
{{- if .Values.rbac.readConfigMaps }}
- apiGroups: [""]
  resources: [configmaps]
  # Those with the public keys of publishers, which GlanceImages name in `spec.content.verify`.
  verbs: [get]
{{- end }}
{{- if and .Values.publish.enabled (not .Values.publish.namespaces) }}
{{ include "glance-image-operator.publishRules" . }}
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* RBAC cannot restrict `create` to a name, nor the other verbs to what the operator has created. */}}
{{- define "glance-image-operator.publishRules" -}}
- apiGroups: [""]
  resources: [configmaps]
  # Those that GlanceImages name in `spec.publish`.
  verbs: [get, create, patch, delete]
{{- end -}}

{{/* A token is requested by the name of its ServiceAccount, so RBAC can restrict the right to those that are listed. */}}
{{- define "glance-image-operator.tokenRules" -}}
- apiGroups: [""]
  resources: [serviceaccounts]
  resourceNames: {{ toJson . }}
  # An annotation says where the tokens may go.
  verbs: [get]
- apiGroups: [""]
  resources: [serviceaccounts/token]
  resourceNames: {{ toJson . }}
  # Those that GlanceImages name in `spec.cloud.serviceAccountName`.
  verbs: [create]
{{- end -}}

{{- define "glance-image-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "glance-image-operator.serviceAccountName" . | quote }}
  namespace: {{ include "glance-image-operator.namespace" . | quote }}
{{- end -}}
