/**
 * Decodes one block of bzip2.
 *
 * Guarantees: memory is that of one block, 5.4 MB for the largest, for any expansion; symbols are decoded at once, bytes on demand;
 * a block with another checksum than its bytes is damaged.
 *
 * The loops over symbols and bytes run about 10^9 times for each GiB: they use local variables, allocate nothing and call nothing.
 */
import { type BitReader, OutOfBits } from './bits.ts';
import { fastBits, HuffmanTables, maxCodeLength, maxTables } from './bzip2-huffman.ts';

/** The unit of levels, in bytes before the last run-length coding. */
export const blockUnit = 100_000;
const groupSize = 50;
/** The format allows more than a block can use. The others are read and ignored. */
const maxSelectors = 32_767;
/** Below this length a loop is faster than copyWithin. */
const shortMove = 32;
const shortFill = 8;

/** Thrown with a sentence about the problem. */
export class BrokenBlock extends Error {}

export class Bzip2Block {
  /** By position in the sorted block: the byte in the low 8 bits, the position of its successor above. */
  #links = new Uint32Array(0);
  #symbols = new Uint16Array(0);
  readonly #tables = new HuffmanTables();
  readonly #selectors = new Uint8Array(maxSelectors);
  /** The values in use, the most recent first. */
  readonly #recent = new Uint8Array(256);
  /** First the number of each value, then its next position in the sorted block. */
  readonly #places = new Int32Array(256);

  /** The checksum that the block should have. */
  #expected = 0;
  /** Of the bytes delivered so far. */
  #crc = 0;
  #link = 0;
  #left = 0;
  /** The last byte, the length of its run, and how often it must still be repeated. */
  #byte = -1;
  #row = 0;
  #repeats = 0;

  get checksum(): number {
    return this.#expected;
  }

  /** Reads a block of at most `maxLength` bytes, after its signature; returns how many it has before runs are written out. */
  decode(bits: BitReader, maxLength: number): number {
    if (this.#links.length < maxLength) {
      this.#links = new Uint32Array(maxLength);
      this.#symbols = new Uint16Array(maxLength + groupSize + 1);
    }
    this.#expected = (bits.read(16) << 16) | bits.read(16);
    if (bits.read(1) !== 0) throw new BrokenBlock('a block is randomised, as only versions before 1999 did');
    const origin = bits.read(24);
    const values = this.#readValues(bits);
    const tables = bits.read(3);
    if (tables < 2 || tables > maxTables) throw new BrokenBlock('a block has too few or too many Huffman codes');
    const selectors = this.#readSelectors(bits, tables);
    for (let table = 0; table < tables; table++) this.#tables.set(table, readLengths(bits, values + 2));
    const length = this.#readBytes(this.#readSymbols(bits, values + 1, selectors, maxLength), maxLength);
    if (origin >= length) throw new BrokenBlock('a block has an invalid start position');
    this.#connect(length);
    this.#link = (this.#links[origin] ?? 0) >>> 8;
    this.#left = length;
    this.#crc = -1;
    this.#byte = -1;
    this.#row = 0;
    this.#repeats = 0;
    return length;
  }

  /** The values that occur: a map of 16 × 16 bits without its empty rows. */
  #readValues(bits: BitReader): number {
    const rows = bits.read(16);
    let count = 0;
    for (let row = 0; row < 16; row++) {
      if (((rows >>> (15 - row)) & 1) === 0) continue;
      const used = bits.read(16);
      for (let column = 0; column < 16; column++)
        if (((used >>> (15 - column)) & 1) !== 0) this.#recent[count++] = row * 16 + column;
    }
    if (count === 0) throw new BrokenBlock('a block uses no values');
    return count;
  }

  /** The table of each group of symbols. */
  #readSelectors(bits: BitReader, tables: number): number {
    const count = bits.read(15);
    if (count === 0) throw new BrokenBlock('a block has no selectors');
    const recent = [0, 1, 2, 3, 4, 5];
    for (let selector = 0; selector < count; selector++) {
      let place = 0;
      while (bits.read(1) !== 0) if (++place >= tables) throw new BrokenBlock('a selector is out of range');
      const [table = 0] = recent.splice(place, 1);
      recent.unshift(table);
      this.#selectors[selector] = table;
    }
    return count;
  }

  /** Reads the symbols up to the end of the block; returns their number. */
  #readSymbols(bits: BitReader, endSymbol: number, selectors: number, maxLength: number): number {
    let length = 0;
    for (let selector = 0; selector < selectors; selector++) {
      length = this.#readGroup(bits, this.#selectors[selector] ?? 0, length, endSymbol);
      if (bits.at > bits.end) throw new OutOfBits();
      if (length > maxLength + 1) break;
      if (this.#symbols[length - 1] === endSymbol) return length;
    }
    throw new BrokenBlock('a block does not end where it should');
  }

  /** Reads the next symbols, which use the codes of one table; returns the number of symbols so far. */
  #readGroup(reader: BitReader, table: number, start: number, endSymbol: number): number {
    const { bytes } = reader;
    const { fast } = this.#tables;
    const symbols = this.#symbols;
    const row = table << fastBits;
    let { at, bits, count } = reader;
    let length = start;
    // A group has 125 bytes at most, fewer than the slack of the reader.
    while (length < start + groupSize) {
      if (count < 16) {
        bits = (bits << 16) | ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
        at += 2;
        count += 16;
      }
      let entry = fast[row | ((bits >>> (count - fastBits)) & ((1 << fastBits) - 1))] ?? 0;
      if (entry === 0) {
        if (count < maxCodeLength) {
          bits = (bits << 8) | (bytes[at++] ?? 0);
          count += 8;
        }
        entry = this.#tables.find(table, bits >>> (count - maxCodeLength));
        if (entry === 0) throw at > reader.end ? new OutOfBits() : new BrokenBlock('a Huffman code has no symbol');
      }
      count -= entry & 31;
      const symbol = entry >>> 5;
      symbols[length++] = symbol;
      if (symbol === endSymbol) break;
    }
    // Whole bytes that were not needed are returned.
    reader.at = at - (count >> 3);
    reader.bits = bits >>> (count & ~7);
    reader.count = count & 7;
    return length;
  }

  /**
   * The values that the symbols stand for, into the low bits of the links; returns how many there are. A symbol is the place
   * of a value among those used before; 0 and 1 are the digits, worth 1 and 2, of how often the last value comes again.
   */
  #readBytes(symbolCount: number, maxLength: number): number {
    const symbols = this.#symbols;
    const links = this.#links;
    const recent = this.#recent;
    const places = this.#places.fill(0);
    let length = 0;
    let run = 0;
    let runStep = 1;
    for (let at = 0; at < symbolCount; at++) {
      const symbol = symbols[at] ?? 0;
      if (symbol <= 1) {
        run += runStep << symbol;
        runStep <<= 1;
        if (length + run > maxLength) throw new BrokenBlock('a block is longer than its level allows');
        continue;
      }
      if (run > 0) {
        const value = recent[0] ?? 0;
        places[value] = (places[value] ?? 0) + run;
        if (run < shortFill) for (let to = length; to < length + run; to++) links[to] = value;
        else links.fill(value, length, length + run);
        length += run;
        run = 0;
        runStep = 1;
      }
      // The last symbol only marks the end.
      if (at === symbolCount - 1) break;
      const value = moveToFront(recent, symbol - 1);
      places[value] = (places[value] ?? 0) + 1;
      links[length++] = value;
    }
    if (length > maxLength) throw new BrokenBlock('a block is longer than its level allows');
    return length;
  }

  /** The inverse of the Burrows–Wheeler transform: links each position to the next one. */
  #connect(length: number): void {
    const links = this.#links;
    const places = this.#places;
    let sum = 0;
    for (let value = 0; value < 256; value++) {
      const count = places[value] ?? 0;
      places[value] = sum;
      sum += count;
    }
    for (let position = 0; position < length; position++) {
      const value = (links[position] ?? 0) & 0xff;
      const place = places[value] ?? 0;
      places[value] = place + 1;
      links[place] = (links[place] ?? 0) | (position << 8);
    }
  }

  /** Fills `out` with the next bytes of the block; returns their number, which is lower only at the end of the block. */
  read(out: Uint8Array): number {
    const links = this.#links;
    const size = out.length;
    let link = this.#link;
    let left = this.#left;
    let byte = this.#byte;
    let row = this.#row;
    let repeats = this.#repeats;
    let crc = this.#crc;
    let filled = 0;
    while (filled < size) {
      if (repeats > 0) {
        repeats--;
      } else {
        if (left === 0) break;
        left--;
        const entry = links[link] ?? 0;
        link = entry >>> 8;
        const next = entry & 0xff;
        // After four equal bytes the next one is a repeat count.
        if (row === 4) {
          repeats = next;
          row = 0;
          continue;
        }
        row = next === byte ? row + 1 : 1;
        byte = next;
      }
      out[filled++] = byte;
      crc = (crc << 8) ^ (crcTable[(crc >>> 24) ^ byte] ?? 0);
    }
    this.#link = link;
    this.#left = left;
    this.#byte = byte;
    this.#row = row;
    this.#repeats = repeats;
    this.#crc = crc;
    if (filled < size && (~crc | 0) !== (this.#expected | 0)) throw new BrokenBlock('the checksum of a block is wrong');
    return filled;
  }
}

function moveToFront(recent: Uint8Array, place: number): number {
  const value = recent[place] ?? 0;
  if (place < shortMove) for (let to = place; to > 0; to--) recent[to] = recent[to - 1] ?? 0;
  else recent.copyWithin(1, 0, place);
  recent[0] = value;
  return value;
}

function readLengths(bits: BitReader, symbols: number): Uint8Array {
  const lengths = new Uint8Array(symbols);
  let length = bits.read(5);
  for (let symbol = 0; symbol < symbols; symbol++) {
    for (;;) {
      if (length < 1 || length > maxCodeLength) throw new BrokenBlock('a Huffman code has an impossible length');
      if (bits.read(1) === 0) break;
      length += bits.read(1) === 0 ? 1 : -1;
    }
    lengths[symbol] = length;
  }
  return lengths;
}

/** CRC-32 as in Ethernet, but with the most significant bit first: not what node:zlib has. */
const crcTable = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc;
});
