/**
 * What a download knows about its file: which responses have sent its bytes, and how far it is.
 *
 * Guarantees: a response is used only if it continues the bytes that were delivered. Before the first byte another version of the file may
 * take its place, if it keeps the announced length.
 */
import { safeUrl } from '../lib/secret.ts';
import { SourceError, tooLong } from './errors.ts';
import type { ResponseRange } from './response-range.ts';
import type { SourceLimits } from './source.ts';
import { checkRestart, checkResume, ifRangeOf, type KnownFile, type Validators } from './validators.ts';

/** A mirror network can lead to another server at each resume. */
const mostWarnings = 4;

export class Assembly {
  readonly #limits: SourceLimits;
  readonly #hasDigest: boolean;
  #delivered = 0;
  #file: KnownFile | undefined;
  readonly #validators = new Map<number, Validators>();
  #isSpliced = false;
  #isPublic = true;
  #isAdmitted = true;
  #warnings: readonly string[] = [];

  constructor({ limits, hasDigest }: { limits: SourceLimits; hasDigest: boolean }) {
    this.#limits = limits;
    this.#hasDigest = hasDigest;
  }

  /** Bytes. */
  get delivered(): number {
    return this.#delivered;
  }

  get file(): KnownFile | undefined {
    return this.#file;
  }

  get size(): number | undefined {
    return this.#file?.size;
  }

  /** By address: those of the bytes that were used. */
  get validators(): ReadonlyMap<number, Validators> {
    return this.#validators;
  }

  /** Whether the rest can be requested so that it is certain to be of the same file. */
  get hasValidator(): boolean {
    return this.#file !== undefined && ifRangeOf(this.#file.validators) !== undefined;
  }

  /** Whether responses were joined that may be of different files. */
  get isSpliced(): boolean {
    return this.#isSpliced;
  }

  /** Whether all bytes came from public addresses. */
  get isPublic(): boolean {
    return this.#isPublic;
  }

  /** Whether they came from public addresses, or from hosts that the installation names. */
  get isAdmitted(): boolean {
    return this.#isAdmitted;
  }

  get warnings(): readonly string[] {
    return this.#warnings;
  }

  deliver(bytes: number): void {
    this.#delivered += bytes;
  }

  warn(found: readonly string[]): void {
    this.#warnings = [...new Set([...this.#warnings, ...found])].slice(0, mostWarnings);
  }

  /** The response of an address is used from here on. Throws if its bytes must not continue those that were delivered. */
  use(index: number, received: ResponseRange, warnings: readonly string[]): void {
    this.#check(received, this.#delivered === 0 ? undefined : this.#validators.get(index));
    this.#countOrigin(received);
    this.#validators.set(index, received.validators);
    this.warn(warnings);
  }

  /** A part of the file is used. It was compared with the rest already. */
  usePart(received: ResponseRange, continuity: ReturnType<typeof checkResume>): void {
    if (continuity === 'assumed') this.#isSpliced = true;
    this.#countOrigin(received);
  }

  #check(received: ResponseRange, last: Validators | undefined): void {
    const { url, size, endIsCertain } = received;
    const { maxBytes } = this.#limits;
    if (size === 0) throw new SourceError('EmptySource', `${safeUrl(url)} is an empty file`);
    if (size !== undefined && size > maxBytes) throw tooLong(url, `announces ${size} bytes`, maxBytes);
    const circumstances = { hasDigest: this.#hasDigest, isPublic: this.#isPublic && received.isPublic };
    const known = this.#file;
    if (known !== undefined && this.#delivered > 0) {
      if (checkResume(received, known, last, circumstances) === 'assumed') this.#isSpliced = true;
      known.size ??= size;
      return;
    }
    if (known !== undefined) checkRestart(received, known, circumstances);
    this.#file = {
      validators: received.validators,
      size: size ?? known?.size,
      endIsCertain: known?.endIsCertain ?? endIsCertain,
    };
    this.#validators.clear();
  }

  #countOrigin({ isPublic, isNamed }: ResponseRange): void {
    this.#isPublic &&= isPublic;
    this.#isAdmitted &&= isPublic || isNamed;
  }
}
