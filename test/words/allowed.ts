/** Uses that stay, in files outside of the public texts. At most `mostAllowed` in all. */

export interface Allowed {
  readonly file: string;
  /** Part of the line that contains the finding. */
  readonly text: string;
}

export const allowed: readonly Allowed[] = [];

export const mostAllowed = 20;

/** No exceptions here: users read these. */
export const withoutExceptions = /^(?:src\/api\/|docs\/|charts\/|README\.md$)/;

/** How many findings each area may still have. These numbers only fall, and an area that is not listed has none. */
export const limits: Readonly<Record<string, number>> = {
  src: 175,
  test: 5,
};
