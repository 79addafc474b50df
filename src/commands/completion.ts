/**
 * Completion in bash, zsh and fish. Each script asks the hidden command `__complete`, which reads the definitions of the
 * commands, so a new flag is completed at once.
 */
import { type Command, command } from './command.ts';
import { UsageError } from './config.ts';

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

export const completionCommand: Command = command({
  name: 'completion',
  summary: 'Print the completion script of a shell',
  operands: shells.join('|'),
  most: 1,
  settings: {},
  notes: [
    'bash: source <(glance-image-operator completion bash)',
    'zsh:  source <(glance-image-operator completion zsh)',
    'fish: glance-image-operator completion fish | source',
  ].join('\n'),
  async run({ operands: [shell] }, { out }) {
    const known = shells.find((one) => one === shell);
    if (known === undefined) throw new UsageError(`name a shell: ${shells.join(', ')}`);
    out.write(scripts[known]);
    return false;
  },
});

const scripts: Readonly<Record<Shell, string>> = {
  bash: `_glance_image_operator() {
  local IFS=$'\\n'
  COMPREPLY=($("\${COMP_WORDS[0]}" __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then compopt -o default; fi
}
complete -F _glance_image_operator glance-image-operator kubectl-glanceimage
`,
  zsh: `_glance_image_operator() {
  local -a found
  found=("\${(@f)$("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [ -n "\${found[1]}" ]; then compadd -- "\${found[@]}"; else _files; fi
}
compdef _glance_image_operator glance-image-operator kubectl-glanceimage
`,
  fish: `function __glance_image_operator
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete -- $words[2..-1] 2>/dev/null
end
complete -c glance-image-operator -a '(__glance_image_operator)'
complete -c kubectl-glanceimage -a '(__glance_image_operator)'
`,
};

/** The command that the scripts ask. `commands` is the whole table. */
export function candidatesCommand(commands: () => readonly Command[]): Command {
  return command({
    name: '__complete',
    summary: 'Print what can follow',
    operands: '-- [WORD…]',
    most: 1000,
    settings: {},
    hidden: true,
    async run({ operands }, { out }) {
      out.write(
        candidates(operands, commands())
          .map((one) => `${one}\n`)
          .join(''),
      );
      return false;
    },
  });
}

/** What can take the place of the last word. Nothing means a file, or what only the user knows. */
export function candidates(words: readonly string[], commands: readonly Command[]): string[] {
  const [first = '', ...rest] = words;
  const last = words.at(-1) ?? '';
  const matching = (all: readonly string[]) => all.filter((one) => one.startsWith(last));
  if (rest.length === 0) {
    const names = commands.filter(({ isHidden }) => !isHidden).map(({ name }) => name);
    return matching([...names, '--help']);
  }
  const chosen = commands.find(({ name }) => name === first);
  if (chosen === undefined) return [];
  const before = rest.at(-2);
  const isBefore = (name: string | undefined) => name !== undefined && name === before;
  const taking = chosen.flags.find(({ flag, short, value }) => value !== '' && (isBefore(flag) || isBefore(short)));
  if (taking !== undefined) return matching(choicesOf(taking.value));
  if (last.startsWith('-')) return matching([...chosen.flags.map(({ flag }) => flag), '--help']);
  return chosen.name === completionCommand.name ? matching(shells) : [];
}

/** Of a value such as `table|json|yaml`. Words in capitals stand for what the user knows. */
function choicesOf(value: string): string[] {
  return /^[a-z|]+$/.test(value) ? value.split('|') : [];
}
