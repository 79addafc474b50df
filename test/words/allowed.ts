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
