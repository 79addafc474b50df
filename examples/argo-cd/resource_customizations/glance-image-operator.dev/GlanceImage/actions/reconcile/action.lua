-- Any new value starts a reconcile at once. The resourceVersion is new after each change, this one included.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["glance-image-operator.dev/reconcile-at"] = "argo-cd-" .. obj.metadata.resourceVersion
return obj
