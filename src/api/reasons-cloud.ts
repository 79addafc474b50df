/** Reasons of failures in the declaration, the cloud, the image and the operator itself. */
import { deleteImage, itself, type ReasonEntry, showImage, showOperator, showResource } from './reason-entry.ts';

export const cloudReasons = {
  InvalidSpec: {
    meaning: 'The declaration cannot be fulfilled.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Fix the field that the message names.',
    command: 'kubectl explain glanceimage.spec',
  },
  SecretNotFound: {
    meaning: 'A Secret that the resource names does not exist.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Create the Secret in the namespace of the resource, or fix `spec.cloud.secretRef`. In a namespace that is being deleted no Secret can be created: set `spec.deletionPolicy` to Retain, or release the resource without its image by `kubectl annotate glanceimage NAME glance-image-operator.dev/abandon=true`.',
    command: 'kubectl create secret generic openstack --from-file=clouds.yaml',
  },
  SecretInvalid: {
    meaning: 'The Secret has no usable clouds.yaml, headers or certificates.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Fix the key of the Secret that the message names.',
    command: 'kubectl describe secret SECRET',
  },
  CloudNotFound: {
    meaning: 'clouds.yaml has no cloud of that name.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Fix `spec.cloud.name`, or add that cloud to clouds.yaml.',
    command: showResource,
  },
  ServiceAccountNotFound: {
    meaning: 'The ServiceAccount that the resource names does not exist.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Create the ServiceAccount in the namespace of the resource, or fix `spec.cloud.serviceAccountName`. In a namespace that is being deleted, proceed as for SecretNotFound.',
    command: 'kubectl get serviceaccounts -n NAMESPACE',
  },
  ServiceAccountRefused: {
    meaning: 'The owner of the ServiceAccount does not allow its tokens to be sent to this Keystone.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'If the Keystone is the right one, have the owner of the ServiceAccount list it in the annotation `glance-image-operator.dev/keystone`, as the message shows. Otherwise fix auth_url or access_token_audience in clouds.yaml.',
    command: 'kubectl describe serviceaccount SERVICEACCOUNT -n NAMESPACE',
  },
  ServiceAccountForbidden: {
    meaning: 'The operator may not read the ServiceAccount, or may not request its tokens.',
    shownBy: ['Ready'],
    actor: 'installer',
    remedy:
      'List the ServiceAccount in the value serviceAccountTokens of the chart, or grant the operator `get` on it and `create` on its subresource `token` by a Role in its namespace.',
    command:
      'kubectl auth can-i create serviceaccounts/SERVICEACCOUNT --subresource=token -n NAMESPACE --as=system:serviceaccount:glance-image-operator-system:glance-image-operator',
  },
  CloudChanged: {
    meaning:
      'The credentials or spec.cloud now lead to another project than that of the image, or to another Glance, which does not have it.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Restore the previous project and region in clouds.yaml and in `spec.cloud`. To move the image to another project: restore them, delete the resource, and create it again with the new ones.',
    command: 'kubectl get glanceimage NAME --output jsonpath={.status.cloud}',
  },

  AuthenticationFailed: {
    meaning: 'Keystone rejected the credentials, or Glance rejected a token that Keystone had just issued.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Renew the password or the application credential in the Secret, and check that its project is enabled. For a federated user, the message names what to check in Keystone. If the same credentials work elsewhere, wait: Keystone may have an outage of its own.',
    command: 'openstack token issue',
  },
  IdentityUnavailable: {
    meaning: 'Keystone cannot be reached, or responds with a server error.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy: `${itself} If only the operator cannot reach Keystone: network policy, DNS, cacert.`,
    command: 'openstack token issue',
  },
  EndpointNotFound: {
    meaning: 'The service catalog has no endpoint for the required service, region and interface.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Fix region_name or interface in clouds.yaml, or have the service entered in the catalog.',
    command: 'openstack catalog show image',
  },
  GlanceUnreachable: {
    meaning: 'No connection to Glance.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy: `${itself} If only the operator cannot reach it: network policy, DNS, cacert, the interface in clouds.yaml.`,
    command: 'openstack catalog show image',
  },
  GlanceUnavailable: {
    meaning: 'Glance responds with a server error.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy: `${itself} The request id finds the cause in the log of Glance.`,
    command: 'openstack image list --limit 1',
  },
  Forbidden: {
    meaning: 'The policy of Glance does not allow the declaration for these credentials.',
    shownBy: ['Ready'],
    actor: 'cloud',
    remedy: 'Give the user the role that the policy of Glance asks for, or do not declare what needs it.',
    command: showResource,
  },
  PropertyProtected: {
    meaning:
      'The property protections of Glance forbid the operator to create, read or update one of its own properties, by which it recognises its images. The message names the property and the right.',
    shownBy: ['Ready'],
    actor: 'cloud',
    remedy:
      'In the file of property protections of Glance, give the role of the user the right that the message names, for all properties that begin with glance_image_operator_.',
    command: 'openstack image show --column properties ID',
  },
  MembersForbidden: {
    meaning:
      'The policy of Glance does not let these credentials read, add or remove the members of the image. The message says which.',
    shownBy: ['Ready'],
    actor: 'cloud',
    remedy:
      'Give the user the role that the policies get_members, add_member and delete_member of Glance ask for, or remove `spec.image.members` and add the members by hand.',
    command: 'openstack image member list ID',
  },
  StateForbidden: {
    meaning: 'The policy of Glance does not let these credentials deactivate or reactivate the image.',
    shownBy: ['Ready'],
    actor: 'cloud',
    remedy:
      'Use credentials with the role that the policies deactivate and reactivate of Glance ask for, which is admin in many clouds, or remove `spec.image.state` and ask the administrator of the cloud to change the state.',
    command: 'openstack image set --deactivate ID',
  },
  InvalidRequest: {
    meaning: 'Glance rejected the declaration as invalid.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Fix the field that the message names. If the field is right, this Glance is too old for it, or its policy forbids it.',
    command: 'kubectl explain glanceimage.spec.image',
  },
  Conflict: {
    meaning: 'Glance rejected the change because of the current state of the image (HTTP 409).',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy:
      'Nothing at first: the operator retries. If it lasts, find the server, volume or tool that uses or changes the image.',
    command: showImage,
  },
  NotFound: {
    meaning: 'Glance responded that an object does not exist (HTTP 404).',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Check that the object that the message names exists in this cloud and project.',
    command: showImage,
  },
  ImageGone: {
    meaning: 'The image was deleted while the operator worked on it.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy: 'Nothing: the operator creates the image again. If it happens again, find out which tool deletes it.',
    command: showImage,
  },
  ProxyRefused: {
    meaning:
      'A proxy rejects a request: the proxy of the installation rejects the connection, or a proxy in front of Glance rejects the size or the form of an upload.',
    shownBy: ['Ready'],
    actor: 'cloud',
    remedy:
      'The message names the proxy and what to change. The administrator of the operator changes the proxy of the installation. In a proxy in front of Glance, raise the size limit, or allow chunked requests.',
    command: 'openstack catalog show image',
  },
  QuotaExceeded: {
    meaning: 'A quota or size limit of the cloud is used up.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Free space in the project, or have its quota raised; the operator then continues by itself.',
    command: 'openstack image list --long',
  },
  NoRoomForRevision: {
    meaning:
      'The quota of the project has no room for another revision next to the current one. Nothing was downloaded.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Have the quota of the project raised, delete images that are not needed any more, or lower `revisions.keep` and `revisions.keepFor`; the operator then continues by itself.',
    command: 'openstack image list --long',
  },
  RevisionsInUse: {
    meaning:
      'Too many replaced revisions are in use, or may be in use, so the operator makes no further one. The current one stays. The message says what uses them, or why that is unknown.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Rebuild or delete the servers and volumes that were made from them. If the message says that Nova does not respond, repair that first. The operator looks again every hour.',
    command: 'openstack server list --image IMAGE',
  },
  StoreNotFound: {
    meaning: 'The cloud has no store of that name.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Fix `image.stores`. The command shows the names.',
    command: 'openstack image stores list',
  },
  StoreReadOnly: {
    meaning: 'The store is read-only.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Choose another store, or have this one opened for writing.',
    command: 'openstack image stores list',
  },
  ImageDownloadFailed: {
    meaning: 'The data of an image could not be read from Glance.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy: `${itself} If it lasts, the store behind Glance has lost the data.`,
    command: 'openstack image save --file FILE ID',
  },
  ImageCorrupted: {
    meaning: 'The data of an image does not have the digest that Glance has recorded.',
    shownBy: ['Ready'],
    actor: 'cloud',
    remedy:
      'Find out why the store behind Glance returns damaged data. Then delete the image, and the operator creates it again: `openstack image set --unprotected ID`, then the command.',
    command: deleteImage,
  },
  ImportFailed: {
    meaning: 'The import task of Glance failed, or did not write to all stores.',
    shownBy: ['Ready'],
    actor: 'cloud',
    remedy: 'The message quotes the import task. See the log of Glance for its cause.',
    command: showImage,
  },

  Deactivated: {
    meaning:
      'The image is deactivated in Glance, usually by an administrator of the cloud, and spec.image.state does not say so.',
    shownBy: ['Ready'],
    actor: 'cloud',
    remedy:
      'Ask the administrator of the cloud why. The command makes the image usable again; so does `spec.image.state: Active`, where the cloud lets these credentials do that. `spec.image.state: Deactivated` keeps it as it is.',
    command: 'openstack image set --activate ID',
  },
  TakenOver: {
    meaning:
      'The image was given to another project, or bears the mark of another owner or cluster. It is foreign now, and is neither changed nor deleted. The message says which.',
    shownBy: ['Ready', 'Event'],
    actor: 'user',
    remedy:
      'Have an administrator of the cloud give the image back, or declare that project as `spec.image.owner`. If the mark is that of another cluster, the administrator of the operator can name it in --inherit-from (chart: settings.inheritFrom). Or delete the resource, which leaves the image, and create it again, without the annotation `glance-image-operator.dev/identity`.',
    command: 'openstack image show --column owner --column properties ID',
  },
  BeingMoved: {
    meaning:
      'The command `clusterctl move` has marked the resource for deletion and removed its finalizer, and has not deleted it. The operator changes neither the resource nor its image.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Run `clusterctl move` again. If the resource stays in this cluster, remove the annotation with the command: the operator then puts the finalizer back. If its image has moved, the reason is TakenOver next, and deleting the resource leaves the image.',
    command: 'kubectl annotate glanceimage NAME clusterctl.cluster.x-k8s.io/delete-for-move-',
  },
  MarkContested: {
    meaning:
      'Another client removes the property by which the operator recognises its image, again and again. The operator restores it at most three times an hour.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Find the tool or person that removes properties beginning with glance_image_operator_ from the image, and exclude them there. The operator checks again every hour.',
    command: 'openstack image show --column properties ID',
  },
  NewerOperator: {
    meaning:
      'A newer version of the operator has written status.operation, and this version does not know its format; or the CRD is newer than the operator, and the resource declares a field that this version does not know. It changes nothing.',
    shownBy: ['Ready'],
    actor: 'installer',
    remedy:
      'Upgrade the operator to that version or a later one; or stop the newer one if two of them run; or remove the field that the message names.',
    command: showOperator,
  },
  NotVerifiable: {
    meaning:
      'Nothing shows whether the image has the declared data: it was deactivated before its data was verified, or it is an image of spec.import whose data cannot be compared with the declared digest. It is left as it is.',
    shownBy: ['Ready'],
    actor: 'cloud',
    remedy:
      'If it was deactivated, ask the administrator of the cloud why: the command makes the image readable again, and the operator then verifies it. Otherwise declare a digest of the data as it is in Glance (`digestOf: Image`), or no content.',
    command: 'openstack image set --activate ID',
  },
  ContentMismatch: {
    meaning: 'Glance holds other data in the image than the operator sent or verified. The image was deleted.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy:
      'Nothing at first: the operator creates another image. If it lasts, find the client that uploads data into the images, or the plugin of the cloud that changes them: with a plugin, use method Stage.',
    command: showResource,
  },

  DecoderMemoryInUse: {
    meaning:
      'Decompressing the file needs more memory than its first part did, and other transfers use it; the transfer starts again.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy:
      'Nothing: the transfer starts again. If it lasts, have the file compressed in one piece, or with the same window in all pieces.',
    command: showResource,
  },
  TransferCrashed: {
    meaning: 'The transfer crashes the thread that runs it, even if it runs alone. This is a bug in the operator.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Report it with the message and the file. Until it is fixed, use another file, or the same file with another compression.',
    command: showResource,
  },
  TimedOut: {
    meaning: 'Reconciling the image exceeded the two-minute limit and was cancelled.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy:
      'Nothing at first: the operator retries. If it lasts, glance_image_operator_openstack_request_duration_seconds shows the slow server.',
    command: showResource,
  },
  KubernetesFailed: {
    meaning:
      'The API server rejected or failed a call of the operator, for example because of missing RBAC permissions.',
    shownBy: ['Ready'],
    actor: 'installer',
    remedy:
      'The message has the cause: permissions of the ServiceAccount, admission webhooks, quotas of the namespace.',
    command: 'kubectl describe glanceimage NAME',
  },
  PublishForbidden: {
    meaning:
      'The operator has no right to read or write ConfigMaps in the namespace of the resource, so it cannot publish the image. The image itself is as declared and has its name. An image that it replaces is retired, and is not deleted while the ConfigMap may name it.',
    shownBy: ['Ready'],
    actor: 'installer',
    remedy: 'Set the value publish.enabled of the chart to true, or remove `spec.publish`.',
    command: 'helm list --all-namespaces',
  },
  ConfigMapNotOwned: {
    meaning:
      'The ConfigMap that spec.publish names exists and does not belong to this resource. It is neither changed nor deleted. The image itself is as declared, has its name, and is the one in `status.imageID`.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Choose another name in `spec.publish.configMapRef`, or delete the ConfigMap; the operator then creates it.',
    command: 'kubectl get configmap CONFIGMAP --output yaml',
  },
  InternalError: {
    meaning: 'A bug in the operator; please report it.',
    shownBy: ['Ready'],
    actor: 'installer',
    remedy: 'Report it with the log lines of its reconcileID.',
    command: showOperator,
  },
} as const satisfies Record<string, ReasonEntry>;
