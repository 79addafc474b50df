/**
 * Parses the subset of Dockerfile syntax that ours uses.
 *
 * Invariant: unknown syntax is an error, so that a test never covers only half of the file.
 */
import { z } from 'zod';

export interface Copy {
  /** The stage that it comes from; undefined for the build context. */
  from: string | undefined;
  sources: string[];
  to: string;
}

export interface Stage {
  /** With ARGs filled in. */
  base: string;
  /** Empty where it has none. */
  name: string;
  platform: string | undefined;
  workdir: string;
  copies: Copy[];
  runs: string[];
  env: Record<string, string>;
  labels: Record<string, string>;
  user: string;
  entrypoint: string[];
}

const commandSchema = z.array(z.string()).min(1);

/** Throws on an instruction, or a form of one, that it does not know. */
export function parseDockerfile(text: string): Stage[] {
  const args: Record<string, string> = {};
  const stages: Stage[] = [];
  for (const line of instructionsOf(text)) {
    const [, word = '', rest = ''] = /^(\w+)\s+(.*)$/s.exec(line) ?? [];
    const stage = stages.at(-1);
    if (word === 'FROM') stages.push(stageOf(rest, args));
    else if (word === 'ARG') Object.assign(args, pairsOf(rest.includes('=') ? rest : `${rest}=`));
    else if (stage === undefined) throw new Error(`before any FROM: ${line}`);
    else apply(stage, word, rest);
  }
  return stages;
}

function apply(stage: Stage, word: string, rest: string): void {
  switch (word) {
    case 'WORKDIR':
      stage.workdir = rest;
      break;
    case 'COPY':
      stage.copies.push(copyOf(rest));
      break;
    case 'RUN':
      stage.runs.push(rest);
      break;
    case 'ENV':
      Object.assign(stage.env, pairsOf(rest));
      break;
    case 'LABEL':
      Object.assign(stage.labels, pairsOf(rest));
      break;
    case 'USER':
      stage.user = rest;
      break;
    case 'ENTRYPOINT':
      stage.entrypoint = commandSchema.parse(JSON.parse(rest));
      break;
    case 'EXPOSE':
      break;
    default:
      throw new Error(`an instruction that this parser does not know: ${word} ${rest}`);
  }
}

/** One line each, without comments. */
function instructionsOf(text: string): string[] {
  const lines = text.split('\n').filter((line) => !/^\s*(#|$)/.test(line));
  return lines.join('\n').replaceAll('\\\n', ' ').split('\n');
}

function stageOf(rest: string, args: Readonly<Record<string, string>>): Stage {
  const [, platform, base, name = ''] = /^(?:--platform=(\S+)\s+)?(\S+)(?:\s+AS\s+(\S+))?$/.exec(rest) ?? [];
  if (base === undefined) throw new Error(`FROM ${rest}`);
  const filled = base.replace(/^\$(\w+)$/, (_, arg: string) => args[arg] ?? '');
  return {
    base: filled,
    name,
    platform,
    workdir: '/',
    copies: [],
    runs: [],
    env: {},
    labels: {},
    user: '',
    entrypoint: [],
  };
}

function copyOf(rest: string): Copy {
  const [, from, paths = ''] = /^(?:--from=(\S+)\s+)?([^-[].*)$/.exec(rest) ?? [];
  const sources = paths.split(/\s+/);
  const to = sources.pop();
  if (to === undefined || sources.length === 0) throw new Error(`COPY ${rest}`);
  return { from, sources, to };
}

/** `A=b C="d e"` */
function pairsOf(rest: string): Record<string, string> {
  const pairs = [...rest.matchAll(/([\w.]+)=(?:"([^"]*)"|(\S*))\s*/g)];
  if (pairs.map(([all]) => all).join('') !== rest) throw new Error(`not a list of NAME=VALUE: ${rest}`);
  return Object.fromEntries(pairs.map(([, name = '', quoted, plain = '']) => [name, quoted ?? plain]));
}
