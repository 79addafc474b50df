/**
 * The source `content.index`: a file that an index in JSON names. It is no source of bytes itself: once the index was read, the
 * content is a file on a web server.
 */
import type { ContentSpec } from '../../api/content.ts';
import { compact } from '../../lib/compact.ts';
import type { Question, Resolution } from '../resolve/question.ts';

type IndexSpec = NonNullable<ContentSpec['index']>;

export function questionInIndex(declared: IndexSpec): Pick<Question, 'url' | 'looksFor'> {
  const { url, entries, where = [], file, base = url, digest, version } = declared;
  const conditions = Object.fromEntries(where.map(({ pointer, value }) => [pointer, value]));
  const layout = compact({ entries, where: conditions, file, base, digest, version });
  return { url, looksFor: { kind: 'pointers', layout } };
}

/** The content with the file that the index names. */
export function resolvedIndex(content: ContentSpec, { url, digest }: Resolution): ContentSpec {
  const { index, ...rest } = content;
  if (index === undefined) return content;
  const { digestOf, decompress, member } = index;
  return { ...rest, http: compact({ url, mirrors: [], digest, digestOf, decompress, member }) };
}

/** `spec.content` of a file that an index names. The pointers are JSON Pointers in the document. */
export function fileFromIndex({ url, file, digest }: { url: string; file: string; digest: string }, member?: string) {
  return { index: compact({ url, format: 'JSONPointer' as const, file, digest, member }) };
}
