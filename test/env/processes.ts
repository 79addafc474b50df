/**
 * The servers of a stack as child processes, each in a process group of its own that a small reaper knows.
 *
 * Guarantees: no server outlives its owner. The reaper ends all groups when its standard input closes: by `stop`, at
 * the owner's exit, or when the owner is killed.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { isRoot } from './parts.mjs';
import { patienceMs } from './wait.ts';

export interface ServerOptions {
  name: string;
  command: string;
  args: readonly string[];
  env?: NodeJS.ProcessEnv;
  /** Run as this user; only root may. */
  identity?: Identity;
  /** Whether it serves already; asked every 50 ms. A rejection counts as not yet. */
  ready: () => Promise<boolean>;
}

export interface Identity {
  uid: number;
  gid: number;
}

export interface ServerProcess {
  readonly name: string;
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** Sends a signal to the server and resolves when it is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

export interface Exit {
  /** Null if a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface Processes {
  /** The stack's own directory; it is gone after `stop`. */
  readonly directory: string;
  /** Starts a server and resolves once it is ready; rejects with the end of its log when it ends or is too slow. */
  start(options: ServerOptions): Promise<ServerProcess>;
  /** Keeps the directory with its logs for a reader. */
  keepLogs(): void;
  /** Ends all servers and removes the directory. */
  stop(): Promise<void>;
}

export function createProcesses(): Processes {
  // `nobody`, as whom PostgreSQL runs under root, must be able to reach it.
  const directory = mkdtempSync(join(isRoot ? '/tmp' : tmpdir(), 'glance-image-operator-'));
  if (isRoot) chmodSync(directory, 0o711);
  mkdirSync(join(directory, 'logs'));
  const reaper = spawn('/bin/sh', [join(import.meta.dirname, 'reaper.sh'), directory], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
  });
  reaper.unref();
  const reaped = new Promise<void>((resolve) => reaper.once('exit', () => resolve()));
  const { stdin } = reaper;
  // A pipe is a socket to Node, and only a socket can be unreferenced so that it does not keep the process alive.
  if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref();

  return {
    directory,
    async start(options) {
      const log = join(directory, 'logs', `${options.name}.log`);
      const out = openSync(log, 'a');
      const child = spawn(options.command, options.args, {
        detached: true,
        stdio: ['ignore', out, out],
        cwd: '/',
        ...(options.env ? { env: options.env } : {}),
        ...options.identity,
      });
      closeSync(out);
      const failed = new Promise<string>((resolve) => child.once('error', (error) => resolve(error.message)));
      const exited = new Promise<Exit>((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
      if (child.pid === undefined) throw new Error(`${options.command} cannot be started: ${await failed}`);
      stdin.write(`${child.pid}\n`);
      child.unref();
      const { pid } = child;
      const ended = exited.then(({ code, signal }) => `it ended with ${signal ?? `code ${code}`}`);
      const fate = await Promise.race([ended, becomesReady(options, child)]);
      if (fate !== 'ready') {
        stdin.write('keep\n');
        const tail = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-15).join('\n');
        throw new Error(`${options.name} did not start: ${fate}\n${tail}\nIts log: ${log}`);
      }
      return {
        name: options.name,
        pid,
        exited,
        async end(signal) {
          child.ref();
          child.kill(signal);
          await exited;
        },
      };
    },
    keepLogs() {
      stdin.write('keep\n');
    },
    async stop() {
      reaper.ref();
      stdin.end();
      await reaped;
    },
  };
}

async function becomesReady({ ready }: ServerOptions, child: ChildProcess): Promise<string> {
  const deadline = performance.now() + patienceMs;
  while (performance.now() < deadline && child.exitCode === null && child.signalCode === null) {
    if (await ready().catch(() => false)) return 'ready';
    await sleep(50);
  }
  return `it was not ready after ${patienceMs / 1000} s`;
}

/** Runs a program to its end and returns what it prints; the error of one that fails ends with what it said. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(command, args, { cwd: '/', maxBuffer: 64 * 1024 * 1024, ...options });
    return stdout;
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    throw new Error(`${command} ${args.join(' ')} failed:\n${said.split('\n').slice(-20).join('\n')}`, {
      cause: error,
    });
  }
}

export interface RunOptions {
  env?: NodeJS.ProcessEnv;
  uid?: number;
  gid?: number;
}

/** The unprivileged user for programs that do not run as root; undefined when we are not root. */
export async function unprivileged(): Promise<Identity | undefined> {
  if (!isRoot) return undefined;
  const [uid, gid] = await Promise.all([run('id', ['-u', 'nobody']), run('id', ['-g', 'nobody'])]);
  return { uid: Number(uid), gid: Number(gid) };
}
