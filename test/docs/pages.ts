/**
 * The pages of the documentation and their blocks.
 *
 * Invariant: every fenced block is found, also an indented one, and a new page is checked without being listed.
 */
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '../..');

export interface Block {
  /** `docs/tutorial.md:17`, for messages. */
  at: string;
  page: string;
  /** The word after the fence; empty where there is none. */
  language: string;
  text: string;
  /** The nearest heading above it, without its marks. */
  heading: string;
}

export interface Page {
  file: string;
  text: string;
  blocks: Block[];
}

export function readPages(): Page[] {
  const files = globSync(['*.md', 'docs/**/*.md', 'examples/**/*.md', 'charts/**/*.md'], { cwd: root }).sort();
  return files.map((file) => readPage(file));
}

export function readPage(file: string): Page {
  const text = readFileSync(join(root, file), 'utf8');
  return { file, text, blocks: blocksOf(file, text) };
}

/** Throws where a fence is never closed. */
export function blocksOf(page: string, text: string): Block[] {
  const blocks: Block[] = [];
  let open: { indent: string; fence: string; block: Block; lines: string[] } | undefined;
  let heading = '';
  for (const [index, line] of text.split('\n').entries()) {
    if (open !== undefined) {
      if (line.trim() === open.fence) {
        open.block.text = open.lines.map((each) => `${each}\n`).join('');
        blocks.push(open.block);
        open = undefined;
      } else open.lines.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line.trimStart());
      continue;
    }
    const title = /^#+ +(.+)$/.exec(line);
    if (title !== null) heading = title[1] ?? '';
    const [, indent = '', fence = '', language = ''] = /^(\s*)(`{3,}|~{3,})\s*(\S*)/.exec(line) ?? [];
    if (fence === '') continue;
    open = { indent, fence, lines: [], block: { at: `${page}:${index + 1}`, page, language, text: '', heading } };
  }
  if (open !== undefined) throw new Error(`${open.block.at}: the block is never closed`);
  return blocks;
}

/** What a reader would type of this block: all of `sh`, and of `console`, which shows the output too, what stands behind a `$`. */
export function commandsOf({ language, text }: Block): string {
  if (language === 'sh') return text;
  if (language !== 'console') return '';
  return [...text.matchAll(/^\$ (.*\n)/gm)].map(([, command = '']) => command).join('');
}

/** Commands between backticks in sentences, with their arguments; `kubectl get` alone is only the name of one. */
export function inlineCommandsOf(text: string): string[] {
  return [...withoutBlocks(text).matchAll(/`((?:kubectl|helm|openstack|npm run) [^`]+)`/g)]
    .map(([, command = '']) => command.replace(/\s+/g, ' '))
    .filter((command) => command.split(' ').length > 2);
}

/** The text of a page without its blocks. */
export const withoutBlocks = (text: string) => text.replace(/^\s*```[\s\S]*?^\s*```$/gm, '');

/** The name that a block gives itself in its first line, as in `# clouds.yaml`. */
export function fileNameOf({ text }: Block): string | undefined {
  return /^# ([\w./-]+\.(?:ya?ml|json|lua))$/.exec(text.split('\n', 1)[0] ?? '')?.[1];
}
