/**
 * A map with a bound on its size. Invariant: it never holds more than `most` entries; when one more is set, the entry that
 * was set longest ago is dropped. Setting a key again makes it the newest, so a cache that sets what it returns is an LRU.
 */
export class BoundedMap<K, V> extends Map<K, V> {
  readonly #most: number;

  constructor(most: number) {
    super();
    this.#most = most;
  }

  override set(key: K, value: V): this {
    this.delete(key);
    super.set(key, value);
    for (const oldest of this.keys()) {
      if (this.size <= this.#most) break;
      this.delete(oldest);
    }
    return this;
  }
}
