/**
 * What a place to take bytes from looks like, whatever it is made of. Law: a body either ends because all of it was there,
 * or throws; the one exception, a body whose end cannot be told from a cut, says so in `endIsCertain`.
 */
export interface Source {
  /**
   * Where the bytes come from in the end, after redirects, and after a break from the address that went on. It may hold
   * credentials: show it through `safeUrl`.
   */
  readonly url: string;
  /** Length of the body in bytes, where the server announced it. It does not change any more. */
  readonly size: number | undefined;
  /** The server's name for this version of the file, by whoever served it last. */
  readonly etag: string | undefined;
  /** False when the server ends the body by closing the connection: then only a digest can tell that all of it came. */
  readonly endIsCertain: boolean;
  /**
   * True once answers were joined that share no validator, which only a digest makes right: if that does not match, the
   * joining may be at fault, and another download do better.
   */
  readonly isPatchwork?: boolean;
  /**
   * True if all bytes so far came from public addresses. What is not public may be a secret of this network, and no message
   * describes it.
   */
  readonly isPublic?: boolean;
  /** To be read once. Aborting the signal that the source was opened with closes it, read or not. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface SourceLimits {
  /** A longer file is refused, at the announcement where there is one. */
  maxBytes: number;
  /** The source has stalled when fewer bytes than this came during `stallWindowMs` milliseconds of waiting for it. */
  stallBytes: number;
  stallWindowMs: number;
  /** The longest time that the whole may take, whoever is slow. Unlimited when absent: large images take long. */
  totalMs?: number;
}
