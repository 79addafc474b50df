/**
 * Changes of a state for which several functions wait.
 *
 * Guarantees: after each change every waiting function looks at the state again; after `stop` nothing waits.
 */
export class Changes {
  #isStopped = false;
  #next = Promise.withResolvers<void>();

  /** Call it after each change. */
  happened(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }

  stop(): void {
    this.#isStopped = true;
    this.happened();
  }

  /** Resolves when the state is so; with false if it does not matter any more. */
  async until(isTrue: () => boolean): Promise<boolean> {
    while (!this.#isStopped && !isTrue()) await this.#next.promise;
    return !this.#isStopped;
  }
}
