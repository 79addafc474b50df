/**
 * Bytes into lines, as a watch is framed. Law: nothing that arrived is lost, and a line is bounded, so that a server gone
 * wrong cannot fill the memory.
 */

/**
 * Yields each line without its newline, and what follows the last newline if that is not empty. Throws a RangeError at a
 * line of more than `limitBytes`.
 */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>, limitBytes: number): AsyncGenerator<string> {
  let pieces: Uint8Array[] = [];
  let length = 0;
  const add = (piece: Uint8Array) => {
    length += piece.length;
    if (length > limitBytes) throw new RangeError(`a line is longer than ${limitBytes} bytes`);
    pieces.push(piece);
  };
  // Pieces are joined before they are decoded, so that a character cut in two by a chunk's end stays whole.
  const take = () => {
    const line = Buffer.concat(pieces).toString('utf8');
    pieces = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      add(chunk.subarray(start, end));
      yield take();
      start = end + 1;
    }
    if (start < chunk.length) add(chunk.subarray(start));
  }
  if (length > 0) yield take();
}
