/**
 * A shell that runs the blocks of a page in order, as a reader copies them.
 *
 * Invariant: variables, the directory and files of one block are there in the next, and a command that fails in the
 * middle of a block is noticed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Ran {
  /** What the block wrote, on either stream. */
  output: string;
  /** 0, or the exit code of the command that failed last. */
  code: number;
}

export interface Shell extends AsyncDisposable {
  run(block: string): Promise<Ran>;
}

export interface ShellOptions {
  directory: string;
  env: NodeJS.ProcessEnv;
  /** Of one block. */
  deadlineMs?: number;
}

export function startShell({ directory, env, deadlineMs = 900_000 }: ShellOptions): Shell {
  const child = spawn('bash', ['--noprofile', '--norc', '-s'], {
    cwd: directory,
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
    // A process group of its own, so that processes of a block end with it.
    detached: true,
  });
  const exited = once(child, 'exit');
  let output = '';
  let heard = () => {};
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    heard();
  });
  child.on('exit', () => heard());
  child.stdin.on('error', () => {});
  child.stdin.write("exec 2>&1\nset -E -o pipefail\ntrap '__code=$?' ERR\n");

  return {
    async run(block) {
      const mark = `end-${crypto.randomUUID()}`;
      output = '';
      child.stdin.write(`__code=0\n{\n${block}\n} </dev/null\nprintf '\\n%s %d\\n' ${mark} "$__code"\n`);
      const ended = new RegExp(`\\n${mark} (\\d+)\\n`);
      const signal = AbortSignal.timeout(deadlineMs);
      for (;;) {
        const end = ended.exec(output);
        if (end !== null) return { output: output.slice(0, end.index), code: Number(end[1]) };
        if (child.exitCode !== null) throw new Error(`the shell ended with ${child.exitCode}:\n${output}`);
        if (signal.aborted)
          throw new Error(`the block does not end within ${deadlineMs / 1000} s:\n${block}\n${output}`);
        await new Promise<void>((resolve) => {
          heard = resolve;
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
      }
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.pid !== undefined) {
        process.kill(-child.pid, 'SIGKILL');
        await exited;
      }
    },
  };
}
