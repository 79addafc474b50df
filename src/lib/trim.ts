/**
 * Ends of texts without certain characters, in time proportional to their length. A regular expression such as `/ +$/` takes time
 * proportional to its square, if the text has a long run of them before another character.
 */

/** `text` without those of `characters` that it ends with. */
export function withoutEnd(text: string, characters: string): string {
  let end = text.length;
  while (end > 0 && characters.includes(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}
