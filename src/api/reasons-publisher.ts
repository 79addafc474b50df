/** Reasons of failures in what a publisher says about a file: lists of digests, indexes and their signatures. */
import type { ReasonEntry } from './reason-entry.ts';

const read = 'curl --location URL';
const showKey = 'kubectl explain glanceimage.spec.content.verify.openPGP';

export const publisherReasons = {
  Resolving: {
    meaning: 'The list or index of the publisher is being read, because nothing says yet which digest the file has.',
    shownBy: ['Ready', 'Reconciling'],
    actor: 'operator',
  },
  DigestNotFound: {
    meaning: 'The list of digests or the index was read, and does not give one digest for the file.',
    shownBy: ['Ready', 'Updating'],
    actor: 'user',
    remedy:
      'The message says what is wrong. Correct the name or the pattern in `fileName`, the pointers of `index`, or the URL of the list. Nothing changes until it is right.',
    command: read,
  },
  ListOutdated: {
    meaning: 'The list or index is older than the one that was accepted before.',
    shownBy: ['Ready', 'Updating'],
    actor: 'user',
    remedy:
      'A mirror may be late, and the operator reads the list again by itself. If the reason stays, fix the URL of the list. Declare `digest` if you want the older file.',
    command: read,
  },
  KeysNotFound: {
    meaning: 'The ConfigMap with the public keys of the publisher does not exist.',
    shownBy: ['Ready', 'Updating'],
    actor: 'user',
    remedy: 'Create the ConfigMap that `keysFrom` names, in the namespace of the resource, or correct its name.',
    command: 'kubectl get configmaps -n NAMESPACE',
  },
  KeysForbidden: {
    meaning: 'The operator may not read the ConfigMap with the public keys of the publisher.',
    shownBy: ['Ready', 'Updating'],
    actor: 'user',
    remedy: 'Put the keys into a Secret, or have rbac.readConfigMaps set in the values of the chart.',
    command: showKey,
  },
  SignatureMissing: {
    meaning: 'The list or index has no signature, and `content.verify` is declared.',
    shownBy: ['Ready', 'Updating'],
    actor: 'user',
    remedy: 'Declare where the signature is in `signatureURL`, or name the file that contains it.',
    command: read,
  },
  SignatureInvalid: {
    meaning:
      'The signature does not fit the list or index: one of them was changed, or they are of different versions.',
    shownBy: ['Ready', 'Updating'],
    actor: 'user',
    remedy: 'Compare the list with that of the publisher. Trust neither until they fit.',
    command: read,
  },
  SignerNotAllowed: {
    meaning: 'The signature was made with a key that is not declared, or with a key that is not for signing.',
    shownBy: ['Ready', 'Updating'],
    actor: 'user',
    remedy: 'Find out from the publisher whether it signs with another key now, and put that key into the Secret.',
    command: showKey,
  },
  KeyExpired: {
    meaning: 'The key that signed the list has expired.',
    shownBy: ['Ready', 'Updating'],
    actor: 'user',
    remedy: 'Fetch the renewed key of the publisher, and put it into the Secret.',
    command: showKey,
  },
  KeyRevoked: {
    meaning: 'The owner of the key that signed the list has revoked it.',
    shownBy: ['Ready', 'Updating'],
    actor: 'user',
    remedy: 'Find out from the publisher why, and which key it uses now.',
    command: showKey,
  },
  WeakHash: {
    meaning: 'The signature uses a hash or a key with which signatures can be forged.',
    shownBy: ['Ready', 'Updating'],
    actor: 'user',
    remedy:
      'Have the publisher sign with a stronger hash or key. Until then, declare a `digest` that you have checked in another way.',
    command: showKey,
  },
  FirstUse: {
    meaning:
      'With `digestFrom.firstUse`, the digest is that of the first file that was downloaded. Nothing proves that this file is from its publisher.',
    shownBy: ['Warning'],
    actor: 'user',
    remedy:
      'Declare the digest or the list of the publisher as soon as there is one. Compare it with `status.source.digest`.',
    command: 'curl --location URL | sha512sum',
  },
  UnsignedList: {
    meaning:
      'The list or index is read over http and has no signature, so everyone between its server and the cluster can replace it.',
    shownBy: ['Warning'],
    actor: 'user',
    remedy: 'Use the https URL of the publisher, or declare `content.verify` with its keys.',
    command: read,
  },
} as const satisfies Record<string, ReasonEntry>;
