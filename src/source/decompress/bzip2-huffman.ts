/**
 * The Huffman codes of a bzip2 block: up to six tables, in one flat array.
 *
 * Guarantees: a code is decoded to the symbol of the canonical order of its lengths; a code without a symbol yields 0.
 */

/** Number of bits in the lookup table. Longer codes are rare, and found length by length. */
export const fastBits = 10;
export const maxCodeLength = 20;
export const maxTables = 6;

interface Table {
  /** By length: the first value of that length that is no code. */
  limits: Int32Array;
  /** By length: the offset from a code to its index in the symbols. */
  bases: Int32Array;
  /** Ordered by the length of their codes. */
  symbols: Uint16Array;
}

export class HuffmanTables {
  /** `table << fastBits | next bits` → `symbol << 5 | length of its code`, or 0 where `find` is needed. */
  readonly fast = new Uint16Array(maxTables << fastBits);
  readonly #tables: Table[] = [];

  /** `lengths`: the code lengths of all symbols, 1 to `maxCodeLength`. */
  set(table: number, lengths: Uint8Array): void {
    const limits = new Int32Array(maxCodeLength + 1);
    const bases = new Int32Array(maxCodeLength + 1);
    const symbols = new Uint16Array(lengths.length);
    let index = 0;
    let code = 0;
    for (let length = 1; length <= maxCodeLength; length++) {
      bases[length] = index - code;
      for (let symbol = 0; symbol < lengths.length; symbol++) {
        if (lengths[symbol] !== length) continue;
        symbols[index++] = symbol;
        code++;
      }
      limits[length] = code;
      code <<= 1;
    }
    this.#tables[table] = { limits, bases, symbols };
    for (let bits = 0; bits < 1 << fastBits; bits++) {
      const entry = this.find(table, bits << (maxCodeLength - fastBits));
      this.fast[(table << fastBits) | bits] = (entry & 31) > fastBits ? 0 : entry;
    }
  }

  /** The entry for the code at the beginning of the low `maxCodeLength` bits of `bits`; 0 if there is none. */
  find(table: number, bits: number): number {
    const { limits, bases, symbols } = this.#tables[table] ?? noTable;
    const next = bits & ((1 << maxCodeLength) - 1);
    for (let length = 1; length <= maxCodeLength; length++) {
      const code = next >>> (maxCodeLength - length);
      if (code >= (limits[length] ?? 0)) continue;
      const symbol = symbols[code + (bases[length] ?? 0)];
      return symbol === undefined ? 0 : (symbol << 5) | length;
    }
    return 0;
  }
}

const noTable: Table = { limits: new Int32Array(0), bases: new Int32Array(0), symbols: new Uint16Array(0) };
