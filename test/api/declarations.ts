/** What the tables of declarations are written in. */

export interface Refusal {
  /** The field that the rejection names; empty if it names none. */
  field: string;
  /** The message of the API server. A rule in CEL is quoted whole: zod must then have the same message. */
  says: string;
}

export interface Case {
  what: string;
  spec: unknown;
  /** Absent: the declaration is accepted. */
  refused?: Refusal;
  /** The message of zod for the original declaration, if the API server changes it before its check. */
  zodAlone?: 'accepts' | 'refuses';
}

export const cloud = { secretRef: { name: 'openstack' }, name: 'demo' };
export const id = '6b1fd7a2-0000-5000-8000-000000000000';
export const hex = (digits: number) => 'a0'.repeat(digits / 2);
export const http = { url: 'https://example.com/image.qcow2', digest: `sha256:${hex(64)}` };
export const emoji = (count: number) => '\u{1f600}'.repeat(count);
export const map = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`key${index}`, 'value']));
export const list = (count: number) => Array.from({ length: count }, (_, index) => `tag${index}`);

export const spec = (fields: object) => ({ cloud, ...fields });
export const image = (fields: object) => spec({ image: fields });
export const from = (fields: object, content: object = {}) =>
  spec({ image: { diskFormat: 'qcow2' }, content: { http: { ...http, ...fields }, ...content } });

export const tooLong = 'Too long';
export const tooShort = 'at least 1 chars long';
export const required = 'Required value';
export const unsupported = 'Unsupported value';
export const wrongType = (type: string) => `must be of type ${type}`;

export const says = {
  properties:
    'must not hold a property that Glance uses internally (image_id, member, extra_properties, base, context, helper, notifier, ' +
    'repo, get_data, set_data, delete, deactivate, reactivate, get_payload, get_super_class, send_notification): a change of it ' +
    'would overwrite another image or be lost. Choose another name',
  interval: 'must be 0, which turns the check off, or a duration from 10s to 24h such as 90s, 10m or 1h30m',
  url: 'must be an http:// or https:// URL without spaces, user name or password, for example https://example.com/image.qcow2',
  digest:
    'must be sha256:, sha384: or sha512: (or md5: or sha1:, which are weak) followed by the 64, 96 or 128 (32, 40) lower-case hex digits that sha256sum and its like print',
  secretName: 'must be the name of a Secret: lower-case letters, digits, - and ., for example openstack',
  formatName: 'must be the name of a format: lower-case letters, digits and -, for example qcow2',
  format: 'image.diskFormat is required with content: say what the file is, for example qcow2 or raw',
  fixed: (field: string) =>
    `${field} cannot change without content once the data is in Glance, which fixes it: declare content, or create another GlanceImage`,
  convertSource:
    'convert needs content.http or content.index, and no method WebDownload, because the operator reads the file itself, in parts: use another source or method, or leave convert out',
  convertMember:
    'convert reads the file in parts, which a file in an archive does not have: declare a qcow2 file that is in no archive, or leave convert or member out',
  convertFormat:
    'content.convert makes a raw disk: set image.diskFormat to raw, and leave image.containerFormat out, or leave convert out',
  source: 'content needs exactly one source: http, index, glance',
  digestFrom: 'http needs exactly one of digest and digestFrom: the digest of the file, or where it is from',
  oneDigestFrom:
    'digestFrom needs exactly one of checksums and firstUse: the list of the publisher, or firstUse: {} where there is none',
  oneKeysFrom: 'keysFrom needs exactly one of secretRef and configMapRef: where the public keys are',
  firstUseOf: 'digestFrom.firstUse records the digest of the file as served: leave digestOf out, or declare digest',
  verifiedFirstUse:
    'verify is about the signature of a list or index, and digestFrom.firstUse has none: declare http.digestFrom.checksums, or leave verify out',
  pointer:
    'must be a JSON Pointer: each name after a slash, with ~1 for / and ~0 for ~ in a name, for example /architectures/x86_64/location',
  entries: 'must be a JSON Pointer, for example /items, or empty for the whole document',
  updateInterval: 'must be a duration from 1m to 720h such as 24h',
  followed:
    'verify and update are about the list or index of a publisher: declare http.digestFrom or index, or leave them out',
  keepFor:
    'with update, an image that others can use is replaced while they use it: declare how long the replaced ones stay in revisions.keepFor, for example 720h',
  mirrorsOfList:
    'with digestFrom the file changes, and a digest of a mirror does not: leave the digests of mirrors out, or declare digest',
  ref: 'must be the id of an image, or its address such as https://glance.example.com/v2/images/<id>',
  refCloud:
    'an address needs the cloud that it belongs to: name it in cloud; for an image of spec.cloud give the id alone',
  stores: 'allStores and stores exclude each other: name the stores, or ask for all of them',
  webDownload:
    'method WebDownload needs content.http with the digest of the file as served, because Glance downloads the file itself and decompresses nothing: leave digestOf out, or use method Upload',
  webDownloadAlone:
    'method WebDownload takes no mirrors, headersSecretRef, caSecretRef or member, because Glance downloads the file with a URL alone and stores it as it is: leave them out, or use method Upload',
  mirrorDigests:
    'a digest of a mirror is that of another file with the same image, so decompress must be Auto and digestOf Served: with digestOf Image or decompress None one digest is right for all mirrors, so leave the others out',
  mirrorFormats:
    'an image in these formats is the file as it is served, so all mirrors have the same digest: leave the digests of mirrors out',
  member:
    'member takes a file out of an archive, and decompress None stores the archive as it is: leave one of them out',
  memberName:
    'must be the name of a file in the archive: printable ASCII without a semicolon, not beginning with / or a blank, for example disk.raw or *.qcow2',
};

/** A value in the name of a case: its beginning and end, and its length where that is not all. */
export function short(value: unknown): string {
  const text = [...JSON.stringify(value)];
  return text.length > 60
    ? `${text.slice(0, 40).join('')}…${text.slice(-5).join('')} of ${text.length} characters`
    : text.join('');
}
