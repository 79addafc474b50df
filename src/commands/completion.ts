/**
 * Completion in bash, zsh and fish. Each script asks the hidden command `__complete`, which reads the definitions of the
 * commands (people.ts), so a new flag is completed at once.
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
  candidates: async () => shells,
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

/**
 * A shell passes arguments on as they are typed, with quotes and `~`. bash also divides them at `=` and `:`, and replaces only the last
 * part, whose beginning is `before`.
 */
const scripts: Readonly<Record<Shell, string>> = {
  bash: `_glance_image_operator() {
  local IFS=$'\\n' rest=\${COMP_LINE:0:COMP_POINT} words=() last=-1 before piece at
  for ((at = 0; at <= COMP_CWORD; at++)); do
    piece=\${COMP_WORDS[at]}
    if [[ $at = 0 || $rest = [[:blank:]]* ]]; then last=$((last + 1)) before=; else before=\${words[last]}; fi
    words[last]=$before$piece
    rest=\${rest#*"$piece"}
  done
  case $piece in '' | *[!=:]*) ;; *) before=$before$piece ;; esac
  words=("\${words[@]//[\\"\\'\\\\]/}")
  words=("\${words[@]/#\\~\\//"$HOME"/}")
  COMPREPLY=($("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null))
  COMPREPLY=("\${COMPREPLY[@]#"$before"}")
}
complete -o default -F _glance_image_operator glance-image-operator kubectl-glanceimage
`,
  zsh: `_glance_image_operator() {
  local -a found
  found=("\${(@f)$("\${words[1]}" __complete -- "\${(@)\${(@Q)words[2,CURRENT]}/#\\~\\//$HOME/}" 2>/dev/null)}")
  if [ -n "\${found[1]}" ]; then compadd -- "\${found[@]}"; else _files; fi
}
compdef _glance_image_operator glance-image-operator kubectl-glanceimage
`,
  fish: `function __glance_image_operator
  set -l words (commandline -opc) (commandline -ct)
  set -l found ($words[1] __complete -- (string replace -r '^~/' "$HOME/" -- $words[2..-1]) 2>/dev/null)
  if test (count $found) -gt 0
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c glance-image-operator -f -a '(__glance_image_operator)'
complete -c kubectl-glanceimage -f -a '(__glance_image_operator)'
`,
};
