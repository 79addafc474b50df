/** The command `glance-image-operator` as a process, from its source, from the bundle or as one executable. It is ended together with its test. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { bareEnvironment } from '../env/environment.ts';

const root = resolve(import.meta.dirname, '../..');

export interface Program {
  /** What is started, and the arguments that come before those of the command. */
  command: readonly [file: string, ...args: string[]];
  remove(): void;
}

export const fromSource: Program = { command: [process.execPath, join(root, 'src/main.ts')], remove() {} };

/** Builds what ships, by the command that builds it, into a folder of its own. */
export async function buildBundle(): Promise<Program> {
  const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-bundle-'));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const { scripts } = z
    .object({ scripts: z.object({ 'build:operator': z.string() }) })
    .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')));
  const [bundle = ''] = scripts['build:operator'].split('&&');
  const build = spawn('sh', ['-c', bundle.replaceAll(/\bdist\b/g, folder)], {
    cwd: root,
    env: { PATH: [join(root, 'node_modules/.bin'), process.env['PATH']].join(delimiter) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [words, [code]] = await Promise.all([text(build.stderr), once(build, 'exit')]);
  if (code !== 0) throw new Error(`the build failed: ${words}`);
  return {
    command: [process.execPath, join(folder, 'glance-image-operator.js')],
    remove: () => rmSync(folder, { recursive: true }),
  };
}

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunningCommand {
  ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
}

export interface CommandOptions {
  stdin?: string;
  env?: Record<string, string>;
  cwd?: string;
}

export function start(
  { command: [file, ...before] }: Pick<Program, 'command'>,
  args: readonly string[],
  { stdin = '', env = {}, cwd = root }: CommandOptions = {},
): RunningCommand {
  const child = spawn(file, [...before, ...args], { cwd, env: { ...bareEnvironment(), ...env } });
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  const leave = () => child.kill('SIGKILL');
  process.once('exit', leave);
  const ended = Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)]).then(
    ([[code], stdout, stderr]) => {
      process.removeListener('exit', leave);
      return { code, stdout, stderr };
    },
  );
  return { ended, kill: (signal) => child.kill(signal) };
}
