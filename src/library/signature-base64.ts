/**
 * Base64 as Python's `b64decode` reads it, and with it every other verifier of OpenStack. Law: a text is decoded to the same
 * bytes as there, or refused as there: an image must not be signed for one reader and unsigned for the other.
 */

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/**
 * The bytes, or undefined for what is no base64. Characters outside the alphabet, line breaks above all, are skipped where
 * they are ASCII; the data ends at the padding that completes its last group, whatever follows; a group that is neither
 * complete nor padded is refused.
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant.
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
