/** Finds what a file has of the phrases, clauses and test names that this project avoids. */
import { clauseSubjects } from './clauses.ts';
import { problemOfName } from './names.ts';
import { rules } from './rules.ts';
import { type Kind, lineAt, type Text, textsOf } from './texts.ts';

export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly kind: Kind;
  readonly rule: string;
  /** What stands there. */
  readonly match: string;
  readonly instead: string;
  /** The line as it stands in the file. */
  readonly text: string;
}

interface Hit {
  readonly offset: number;
  readonly rule: string;
  readonly match: string;
  readonly instead: string;
}

/** All findings of one file, in the order of its lines. */
export function findingsIn(file: string, content: string, kinds?: readonly Kind[]): Finding[] {
  const lines = content.split('\n');
  return textsOf(file, content)
    .filter(({ kind }) => kinds === undefined || kinds.includes(kind))
    .flatMap((text) =>
      hitsIn(text, content).map(({ offset, ...hit }) => {
        const line = lineAt(content, text.start + offset);
        return { file, line, kind: text.kind, text: (lines[line - 1] ?? '').trim(), ...hit };
      }),
    )
    .sort((a, b) => a.line - b.line);
}

function hitsIn({ kind, start, text }: Text, content: string): Hit[] {
  const words = rules.flatMap(({ id, pattern, instead }) =>
    [...text.matchAll(pattern)].map((match) => ({
      offset: match.index,
      rule: id,
      match: match[0].replace(/\s+/g, ' '),
      instead,
    })),
  );
  const clauses = clauseSubjects(text).map(({ offset, match }) => ({
    offset,
    rule: 'clause as subject',
    match,
    instead: 'a noun as subject, or two sentences',
  }));
  const problem = kind === 'name' && isTest(start, content) ? problemOfName(text) : undefined;
  const names =
    problem === undefined
      ? []
      : [
          {
            offset: 0,
            rule: 'test name',
            match: text.trim(),
            instead: `a sentence that stands alone; this one ${problem}`,
          },
        ];
  return [...words, ...clauses, ...names];
}

/** A `describe` may be a noun. */
function isTest(start: number, content: string): boolean {
  return /(?<!\.)\b(?:test|it)(?:\.\w+)?\(\s*$/.test(content.slice(Math.max(0, start - 40), start));
}
