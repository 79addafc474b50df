/**
 * Finds the prose of a file: comments and strings of TypeScript and Go, Markdown outside code, whole YAML, templates and scripts.
 *
 * Invariant: a text has the length and the line breaks of its place in the file, and code in it is blank. So an offset in
 * a text is an offset in the file, and a phrase is found across the line breaks of a comment.
 */

export type Kind = 'comment' | 'string' | 'name' | 'prose';

export interface Text {
  readonly kind: Kind;
  /** Offset of the first character in the file. */
  readonly start: number;
  readonly text: string;
}

/** The prose of one file, by its name. */
export function textsOf(file: string, content: string): Text[] {
  if (/\.(?:m?[tj]s|go)$/.test(file)) return textsOfScript(content);
  if (file.endsWith('.md')) return [{ kind: 'prose', start: 0, text: proseOfMarkdown(content) }];
  return [{ kind: 'prose', start: 0, text: blank(blank(content, /^[ \t]*#+/gm), inlineCode) }];
}

/** The line in which an offset lies, counted from 1. */
export function lineAt(content: string, offset: number): number {
  return content.slice(0, offset).split('\n').length;
}

const inlineCode = /`[^`\n]+`/g;
const fence = /^([ \t]*)(```+|~~~+)[^\n]*\n[\s\S]*?^[ \t]*\2[ \t]*$/gm;
const linkTarget = /\]\([^)\s]*\)/g;
const htmlComment = /<!--[\s\S]*?-->/g;

/** Replaces matches by spaces. Inline code stays one word, so that a sentence keeps its subject. */
function blank(text: string, pattern: RegExp): string {
  return text.replace(pattern, (match) =>
    pattern === inlineCode ? `X${' '.repeat(match.length - 1)}` : match.replace(/[^\n]/g, ' '),
  );
}

function proseOfMarkdown(content: string): string {
  return blank(blank(blank(blank(content, fence), htmlComment), inlineCode), linkTarget);
}

/** Whether a slash divides or starts a regular expression depends on the token before it. */
const endsValue = /(?:[\w$)\]'"`]|\+\+|--)$/;
const keywordBeforeRegex = /(?:^|[^\w$.])(?:return|typeof|case|in|of|delete|void|throw|new|else|await|yield)$/;
const callOfTest = /(?:^|[^\w$.])(?:test|it|describe|suite)(?:\.(?:only|skip|todo))?\(\s*$/;

const token =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*"|`|\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*|[{}]/g;

/** Comments, strings and templates, also those inside the placeholders of a template. */
function textsOfScript(source: string): Text[] {
  const texts: Text[] = [];
  const kindAt = (index: number): Kind =>
    callOfTest.test(source.slice(Math.max(0, index - 40), index)) ? 'name' : 'string';

  /** Takes a comment, a string, a template or a slash. Returns the offset behind it. */
  const read = (index: number, found: string): number => {
    const end = index + found.length;
    if (found === '`') return readTemplate(end, kindAt(index));
    if (found.startsWith('//') || found.startsWith('/*')) {
      texts.push({ kind: 'comment', start: index, text: proseOfComment(found) });
    } else if (found.startsWith('/')) {
      return isDivision(source.slice(Math.max(0, index - 40), index).trimEnd()) ? index + 1 : end;
    } else if (isProse(found)) {
      texts.push({ kind: kindAt(index), start: index, text: ` ${found.slice(1, -1)} ` });
    }
    return end;
  };

  /** Reads code; in a placeholder, up to the brace that closes it. Returns the offset behind it. */
  const readCode = (from: number, inPlaceholder: boolean): number => {
    let depth = 0;
    let at = from;
    for (let match = tokenAt(source, at); match !== null; match = tokenAt(source, at)) {
      const [found] = match;
      if (found === '}' && depth === 0 && inPlaceholder) return match.index + 1;
      if (found === '{') depth += 1;
      if (found === '}') depth -= 1;
      at = found === '{' || found === '}' ? match.index + 1 : read(match.index, found);
    }
    return source.length;
  };

  /** Reads a template; each placeholder becomes one word. */
  const readTemplate = (from: number, kind: Kind): number => {
    let text = ' ';
    let at = from;
    while (at < source.length && source[at] !== '`') {
      const inPlaceholder = source.startsWith('${', at);
      const end = inPlaceholder ? readCode(at + 2, true) : at + (source[at] === '\\' ? 2 : 1);
      text += inPlaceholder ? `X${source.slice(at + 1, end).replace(/[^\n]/g, ' ')}` : source.slice(at, end);
      at = end;
    }
    if (isProse(text)) texts.push({ kind, start: from - 1, text: `${blank(text, inlineCode)} ` });
    return at + 1;
  };

  readCode(0, false);
  return texts;
}

function tokenAt(source: string, offset: number): RegExpExecArray | null {
  token.lastIndex = offset;
  return token.exec(source);
}

function isDivision(before: string): boolean {
  return endsValue.test(before) && !keywordBeforeRegex.test(before);
}

/** A string of one word is a value of the program. */
function isProse(literal: string): boolean {
  return /\S\s+\S/.test(literal);
}

function proseOfComment(comment: string): string {
  const bare = comment.replace(/^\/\*\*?|^\/\/|\*\/$/g, (mark) => ' '.repeat(mark.length));
  return blank(
    bare.replace(/^[ \t]*\*(?!\*)/gm, (mark) => ' '.repeat(mark.length)),
    inlineCode,
  );
}
