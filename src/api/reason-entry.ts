/**
 * The form of an entry in the table of reasons, and sentences that several entries share. Invariant: where a person has to act, the
 * entry says what to do and with which command to begin.
 */

/** Where a reason is shown. The reason of a failure in `Ready` is also that of `Stalled`, of `status.lastError` and of an event. */
export type Place = 'Ready' | 'Available' | 'Reconciling' | 'Updating' | 'Warning' | 'Event';

/**
 * Who has to act:
 * `operator`: it continues by itself, or there is nothing to do.
 * `user`: who declares the resource and can edit it and its Secrets.
 * `cloud`: an administrator of the cloud.
 * `installer`: who installs and configures the operator.
 */
export type Actor = 'operator' | 'user' | 'cloud' | 'installer';

interface Meaning {
  meaning: string;
  shownBy: readonly Place[];
}

/** `command`: the one to begin with, with words in capitals for what the reader fills in. */
export type ReasonEntry = Meaning &
  (
    | { actor: 'operator'; remedy?: string; command?: string }
    | { actor: Exclude<Actor, 'operator'>; remedy: string; command: string }
  );

export const itself = 'Nothing: the operator retries, and continues once the server works again.';
export const publisher = 'Compare with the checksum of the publisher; fix `content.http`, or have the file repaired.';

export const showResource = 'kubectl describe glanceimage NAME';
export const showImage = 'openstack image show ID';
export const deleteImage = 'openstack image delete ID';
export const showOperator =
  'kubectl get deployments --all-namespaces --selector app.kubernetes.io/name=glance-image-operator';
export const showJobs = 'kubectl describe jobs,pods --all-namespaces --selector app.kubernetes.io/component=transfer';
