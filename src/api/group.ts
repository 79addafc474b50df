/** The names under which the Kubernetes API knows us. Each is written once, here. */
export const group = 'glance-image-operator.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;
export const kind = 'GlanceImage';
export const plural = 'glanceimages';

/** Keeps the resource until its image is dealt with. */
export const finalizer = `${group}/image`;
export const reconcileAtAnnotation = `${group}/reconcile-at`;
export const abandonAnnotation = `${group}/abandon`;
/** Written by the operator, and carried to a new object by backups and moves. */
export const identityAnnotation = `${group}/identity`;

/** For the pages. */
export const annotationMeanings: Readonly<Record<string, string>> = {
  [reconcileAtAnnotation]:
    'Any new value starts a check of the image now, and a retry if the last attempt failed. `status.lastHandledReconcileAt` has the value that was handled last.',
  [abandonAnnotation]:
    '`"true"` releases a resource that is being deleted without its image, which stays in Glance: for a cloud that no longer exists, or a lost Secret.',
  [identityAnnotation]:
    'Written by the operator, once. It belongs to the owner mark of the images, so that an object that was moved or restored from a backup finds its images again. Leave it as it is.',
};
