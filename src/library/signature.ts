/**
 * The signature of an image, as its four `img_signature*` properties declare it.
 *
 * Invariant: either none of the four exists, or all exist and are usable; everything between is detected here, before a
 * byte is read, and never counts as unsigned.
 */
import type { JsonValue } from '../openstack/json.ts';

/** The hash functions by the property's names, each with OpenSSL's name and the length of its digest in bytes. */
export const hashMethods = {
  'SHA-224': { algorithm: 'sha224', bytes: 28 },
  'SHA-256': { algorithm: 'sha256', bytes: 32 },
  'SHA-384': { algorithm: 'sha384', bytes: 48 },
  'SHA-512': { algorithm: 'sha512', bytes: 64 },
} as const;
export type HashMethod = keyof typeof hashMethods;

/**
 * The kinds of key, each with the classes of public key (as Node names them) that its certificate may hold. The curve of an
 * ECC key is not compared with the name: cursive, the verifier of all of OpenStack, does not compare it either.
 */
export const keyTypes = {
  'RSA-PSS': ['rsa', 'rsa-pss'],
  DSA: ['dsa'],
  ECC_SECT571K1: ['ec'],
  ECC_SECT409K1: ['ec'],
  ECC_SECT571R1: ['ec'],
  ECC_SECT409R1: ['ec'],
  ECC_SECP521R1: ['ec'],
  ECC_SECP384R1: ['ec'],
} as const;
export type KeyType = keyof typeof keyTypes;

/** The properties' names in Glance, with their meaning. */
export const signatureProperties = {
  signature: 'img_signature',
  hashMethod: 'img_signature_hash_method',
  keyType: 'img_signature_key_type',
  certificateId: 'img_signature_certificate_uuid',
} as const;
export type SignatureProperty = (typeof signatureProperties)[keyof typeof signatureProperties];

export interface ImageSignature {
  /** The raw signature; never empty. DSA and ECC: DER of (r, s). */
  signature: Uint8Array;
  hashMethod: HashMethod;
  keyType: KeyType;
  /** The id of the signer's certificate in the key manager; at most 255 characters. */
  certificateId: string;
}

export type SignatureDeclaration =
  /** The image has none of the properties. */
  | { kind: 'unsigned' }
  /** It has some of them; these are missing. */
  | { kind: 'incomplete'; missing: readonly SignatureProperty[] }
  /** It has all; each problem is a phrase that names the property. */
  | { kind: 'unusable'; problems: readonly string[] }
  | { kind: 'signed'; signed: ImageSignature };

/** Reads the declaration from an image's properties. A property that is null counts as absent. */
export function signatureOf(properties: Readonly<Record<string, JsonValue>>): SignatureDeclaration {
  const names = Object.values(signatureProperties);
  const missing = names.filter((name) => (properties[name] ?? null) === null);
  if (missing.length === names.length) return { kind: 'unsigned' };
  if (missing.length > 0) return { kind: 'incomplete', missing };

  const signature = decodeBase64(textOf(properties, signatureProperties.signature));
  const hashMethod = keyOf(hashMethods, textOf(properties, signatureProperties.hashMethod));
  const keyType = keyOf(keyTypes, textOf(properties, signatureProperties.keyType));
  const certificateId = textOf(properties, signatureProperties.certificateId);
  if (signature?.length && hashMethod !== undefined && keyType !== undefined && isId(certificateId)) {
    return { kind: 'signed', signed: { signature, hashMethod, keyType, certificateId } };
  }
  return {
    kind: 'unusable',
    problems: [
      ...(signature?.length ? [] : [`${signatureProperties.signature} is not the base64 of a signature`]),
      ...(hashMethod ? [] : [`${signatureProperties.hashMethod} is none of ${Object.keys(hashMethods).join(', ')}`]),
      ...(keyType ? [] : [`${signatureProperties.keyType} is none of ${Object.keys(keyTypes).join(', ')}`]),
      ...(isId(certificateId) ? [] : [`${signatureProperties.certificateId} is not the id of a certificate`]),
    ],
  };
}

/** The property's text; empty for another type, which is as unusable as an empty text. */
function textOf(properties: Readonly<Record<string, JsonValue>>, name: SignatureProperty): string {
  const value = properties[name];
  return typeof value === 'string' ? value : '';
}

/** Key managers have different kinds of ids, all of them short. */
function isId(text: string): boolean {
  return text !== '' && text.length <= 255;
}

function keyOf<T extends object>(known: T, name: string): keyof T | undefined {
  return isKeyOf(known, name) ? name : undefined;
}

function isKeyOf<T extends object>(known: T, name: PropertyKey): name is keyof T {
  return Object.hasOwn(known, name);
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/**
 * The bytes, or undefined if the text is not base64. ASCII characters outside the alphabet, mostly line breaks, are skipped;
 * the data ends at the padding that completes its last group, whatever follows; a group that is neither complete nor padded
 * is rejected.
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it means all of ASCII.
  if (!/^[\x00-\x7f]*$/.test(text)) return undefined;
  let digits = '';
  let pads = 0;
  for (const character of text) {
    const inGroup = digits.length % 4;
    if (character === '=') {
      if (inGroup >= 2 && inGroup + ++pads >= 4) return Buffer.from(digits, 'base64');
    } else if (alphabet.includes(character)) {
      digits += character;
      pads = 0;
    }
  }
  return digits.length % 4 === 0 ? Buffer.from(digits, 'base64') : undefined;
}
