/**
 * A URL as it may be published, for example in a manifest that is kept in Git.
 *
 * Invariant: what does not look like a credential, and belongs to no signature, stays as it is written.
 */
import { cleanText } from './redact.ts';
import { percentDecoded } from './text.ts';

/** Names of parameters that hold a credential. `cleanText` knows more of them. */
const credential = /^(?:auth|hmac|jwt|key|pass|pw|hdnea|hdnts|__token__|.*[-_.](?:auth|hmac|jwt|key|sig))$/i;

/** Parameters that belong to a signature in the query: of S3 and its like, of Google, CloudFront, Swift and Azure. */
const ofSignature =
  /^(?:x-(?:amz|goog|oss|cos|ms)-.*|q-.*|temp_url_.*|(?:AWS|OSS)AccessKeyId|GoogleAccessId|Key-Pair-Id|Policy|Expires|s[eiprtv]|sdd|ses|sip|spr|srt|ss|sk(?:oid|tid|[estv]))$/i;

export interface PublicUrl {
  url: string;
  /** The names of the parameters that it had. */
  leftOut: readonly string[];
}

/** Without the credentials in its query, and without its fragment, which no server gets. */
export function publicUrl(url: string): PublicUrl {
  const [address = ''] = url.split('#', 1);
  const start = address.indexOf('?');
  if (start === -1) return { url: address, leftOut: [] };
  const place = address.slice(0, start);
  const all = address.slice(start + 1).split('&');
  const isSigned = all.some(isCredential);
  const out = all.filter((one) => isCredential(one) || (isSigned && ofSignature.test(nameOf(one))));
  if (out.length === 0) return { url: address, leftOut: [] };
  const kept = all.filter((one) => !out.includes(one));
  return { url: kept.length === 0 ? place : `${place}?${kept.join('&')}`, leftOut: [...new Set(out.map(nameOf))] };
}

function isCredential(parameter: string): boolean {
  const text = percentDecoded(parameter);
  return (/=./.test(text) && credential.test(nameOf(text))) || cleanText(text) !== text;
}

function nameOf(parameter: string): string {
  const [name = ''] = percentDecoded(parameter).split('=', 1);
  return name;
}
