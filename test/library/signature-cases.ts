/** Signatures that cursive and we have to agree about, made here and now: no two runs have the same keys. */
import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { type HashMethod, hashMethods, type KeyType } from '../../src/library/signature.ts';
import type { Judging, Signing } from './cursive.ts';

const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength }).privateKey;
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey;
const dsa = (modulusLength: number, divisorLength: number) =>
  generateKeyPairSync('dsa', { modulusLength, divisorLength }).privateKey;

export const keys = {
  RSA: rsa(2048),
  'another RSA': rsa(2048),
  'RSA of 1024 bits': rsa(1024),
  DSA: dsa(2048, 256),
  // Its group is shorter than any of the hashes.
  'DSA of 1024 bits': dsa(1024, 160),
  'P-256': ec('prime256v1'),
  'P-384': ec('secp384r1'),
  'P-521': ec('secp521r1'),
} satisfies Record<string, KeyObject>;
type Key = keyof typeof keys;

const methods: readonly HashMethod[] = ['SHA-224', 'SHA-256', 'SHA-384', 'SHA-512'];
const kinds: readonly [KeyType, readonly Key[]][] = [
  ['RSA-PSS', ['RSA', 'RSA of 1024 bits']],
  ['DSA', ['DSA', 'DSA of 1024 bits']],
  // cursive wants a key on some curve, not on the one that is named.
  ['ECC_SECP384R1', ['P-384', 'P-256']],
  ['ECC_SECP521R1', ['P-521']],
];
const message = Buffer.from('the bytes of an image, as they were uploaded');

/** A signature made by Node. */
function signed(key: Key, hashMethod: HashMethod, saltLength: number = constants.RSA_PSS_SALTLEN_MAX_SIGN): string {
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  const pss = keys[key].asymmetricKeyType === 'rsa' ? { padding, saltLength } : {};
  return sign(hashMethods[hashMethod].algorithm, message, { key: keys[key], ...pss }).toString('base64');
}

/** What Python is to sign. */
export const signings: readonly (Signing & { key: Key })[] = kinds.flatMap(([keyType, names]) =>
  names.flatMap((key) => methods.map((hashMethod) => ({ key, keyType, hashMethod, message }))),
);
/** The same, signed by Node. */
export const ours: readonly Judging[] = signings.map(({ key, ...rest }) => ({
  ...rest,
  certificate: key,
  signature: signed(key, rest.hashMethod),
}));

const good: Judging = {
  certificate: 'RSA',
  keyType: 'RSA-PSS',
  hashMethod: 'SHA-256',
  message,
  signature: signed('RSA', 'SHA-256'),
};
const goodEcc: Judging = {
  certificate: 'P-384',
  keyType: 'ECC_SECP384R1',
  hashMethod: 'SHA-384',
  message,
  signature: signed('P-384', 'SHA-384'),
};
const goodDsa: Judging = { ...goodEcc, certificate: 'DSA', keyType: 'DSA', signature: signed('DSA', 'SHA-384') };
const bytesOf = (text: string) => Buffer.from(text, 'base64');
const changed = (text: string) => {
  const bytes = bytesOf(text);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  return bytes.toString('base64');
};
/** The maximum for 2048 bits and SHA-256 is 222. */
const salts = { 'of no bytes': 0, 'as long as the digest': 32, 'one byte too short': 221 };

export const accepted: readonly [string, Judging][] = [
  [
    'a signature with line breaks, as base64 prints it',
    { ...good, signature: good.signature.replace(/.{64}/g, '$&\n') },
  ],
  [
    'a signature with other characters in between',
    { ...good, signature: `!${good.signature.slice(0, 9)}-_ ${good.signature.slice(9)}` },
  ],
  ['a signature with something after its padding', { ...good, signature: `${good.signature}trailing` }],
];

export const refused: readonly [string, Judging][] = [
  ...[good, goodEcc, goodDsa].flatMap((one): [string, Judging][] => [
    [`${one.keyType}: other bytes`, { ...one, message: Buffer.from('other bytes') }],
    [`${one.keyType}: a byte more`, { ...one, message: Buffer.concat([message, Buffer.alloc(1)]) }],
    [`${one.keyType}: no bytes`, { ...one, message: Buffer.alloc(0) }],
    [`${one.keyType}: another hash`, { ...one, hashMethod: 'SHA-512' }],
    [`${one.keyType}: a changed signature`, { ...one, signature: changed(one.signature) }],
    [
      `${one.keyType}: half a signature`,
      { ...one, signature: bytesOf(one.signature).subarray(0, 40).toString('base64') },
    ],
    [
      `${one.keyType}: a byte after the signature`,
      { ...one, signature: Buffer.concat([bytesOf(one.signature), Buffer.alloc(1)]).toString('base64') },
    ],
    [`${one.keyType}: an empty signature`, { ...one, signature: '' }],
    [`${one.keyType}: a signature of padding only`, { ...one, signature: '====' }],
    [`${one.keyType}: a signature that is no base64`, { ...one, signature: 'AAAAA' }],
    [`${one.keyType}: a signature with letters that are not ASCII`, { ...one, signature: `é${one.signature}` }],
    [`${one.keyType}: an unknown hash`, { ...one, hashMethod: 'SHA-1' }],
    [`${one.keyType}: a hash in another spelling`, { ...one, hashMethod: 'sha-384' }],
    [`${one.keyType}: an unknown key type`, { ...one, keyType: 'ECC_SECP256R1' }],
    [`${one.keyType}: a key type that only JavaScript knows`, { ...one, keyType: 'constructor' }],
  ]),
  ['RSA-PSS: a foreign key', { ...good, certificate: 'another RSA' }],
  ['ECC: a key on another curve', { ...goodEcc, certificate: 'P-521' }],
  ['DSA: a foreign key', { ...goodDsa, certificate: 'DSA of 1024 bits' }],
  ['RSA-PSS: a key for elliptic curves', { ...good, certificate: 'P-384' }],
  ['RSA-PSS: a key for DSA', { ...good, certificate: 'DSA' }],
  ['ECC: a key for RSA', { ...goodEcc, certificate: 'RSA' }],
  ['ECC: a key for DSA', { ...goodEcc, certificate: 'DSA' }],
  ['DSA: a key for elliptic curves', { ...goodDsa, certificate: 'P-384' }],
  ['DSA: a key for RSA', { ...goodDsa, certificate: 'RSA' }],
  ['RSA-PSS: padding as in PKCS #1 v1.5', { ...good, signature: sign('sha256', message, keys.RSA).toString('base64') }],
];

/**
 * Rejected by cursive on cryptography 41 and earlier; later versions accept a salt of any length if the longest is
 * demanded.
 */
export const otherSalts: readonly [string, Judging][] = Object.entries(salts).map(([name, length]) => [
  `a salt ${name}`,
  { ...good, signature: signed('RSA', 'SHA-256', length) },
]);
