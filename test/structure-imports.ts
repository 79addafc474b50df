/** The files of src, their text and what they import, read as text. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '..');
const src = join(root, 'src');

interface Import {
  from: string;
  to: string;
  typeOnly: boolean;
}

export const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
export const imports: readonly Import[] = files.flatMap((file) => importsOf(file));

function importsOf(file: string): Import[] {
  const text = textOf(file);
  const statements = text.matchAll(/^(?:import|export)\s+(type\s)?(?:([^'";]*?)\sfrom\s)?'([^']+)'/gm);
  // A type in place and a module that is loaded later are imports, too.
  const expressions = text.matchAll(/(await\s+)?\bimport\('([^']+)'\)/g);
  const targetOf = (target: string) =>
    target.startsWith('.') ? relative(src, resolve(src, dirname(file), target)) : target;
  return [
    ...[...statements].map(([, type, names = '', target = '']) => ({
      from: file,
      to: targetOf(target),
      typeOnly: type !== undefined || isTypesOnly(names),
    })),
    ...[...expressions].map(([, loads, target = '']) => ({
      from: file,
      to: targetOf(target),
      typeOnly: loads === undefined,
    })),
  ];
}

/** `{ type A, type B }` imports no values either. */
function isTypesOnly(names: string): boolean {
  const inner = /^\{([^}]*)\}$/.exec(names.trim())?.[1];
  return inner?.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type ')) ?? false;
}

export function folderOf(file: string): string {
  return file.split('/')[0] ?? file;
}

/** The folder of a file inside a folder of the source: `model` of `image/model/desired.ts`. */
export function innerFolderOf(file: string): string | undefined {
  const [, inner, name] = file.split('/');
  return name === undefined ? undefined : inner;
}

export function textOf(file: string): string {
  return readFileSync(join(src, file), 'utf8');
}

/** The first circle of imports that is found, as a path. */
export function circle(edges: ReadonlyMap<string, readonly string[]>): string | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file].join(' → ');
    if (done.has(file)) return undefined;
    for (const next of edges.get(file) ?? []) {
      const found = visit(next, [...path, file]);
      if (found !== undefined) return found;
    }
    done.add(file);
    return undefined;
  };
  for (const file of edges.keys()) {
    const found = visit(file, []);
    if (found !== undefined) return found;
  }
  return undefined;
}
