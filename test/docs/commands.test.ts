/** The commands of the pages, run by a shell in a sandbox: what they name exists, and the real servers take what they ask. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { reasons } from '../../src/api/reasons.ts';
import { kubeconfig } from '../env/kubeconfig.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { eventually } from '../env/wait.ts';
import { blocksOf, commandsOf, inlineCommandsOf, type Page, readPage, readPages, root } from './pages.ts';
import { createSandbox } from './sandbox.ts';
import { startShell } from './shell.ts';

/** They are walked for real, by walk.test.ts, take-over.test.ts and federation.test.ts. */
const walked = ['docs/quick-start.md', 'docs/tutorial.md', 'docs/how-to/take-over.md', 'docs/how-to/federation.md'];

describe('the commands of the pages', () => {
  let stack: Stack;
  let login: string;
  let access: string;
  const kept = mkdtempSync(join(tmpdir(), 'kept-'));
  before(async () => {
    stack = await connectStack();
    await stack.kubernetes.apply(join(root, 'crds'));
    // The server publishes the fields of a kind later than the kind.
    let missing = '';
    await eventually(
      async () => {
        const { code, stderr } = await stack.kubernetes.kubectl(['explain', 'glanceimage.spec']);
        missing = stderr;
        return code === 0;
      },
      () => missing,
    );
    const { server, caPem: ca, adminToken: token } = stack.kubernetes;
    access = kubeconfig({ server, ca, token, namespace: await stack.kubernetes.createNamespace('docs') });
    login = await (await stack.openstack.createProject()).cloudsYaml();
  });
  after(async () => {
    rmSync(kept, { recursive: true });
    await stack.stop();
  });

  async function complaintsAbout(page: Page): Promise<string[]> {
    const directory = mkdtempSync(join(tmpdir(), 'commands-'));
    const sandbox = createSandbox({ directory, kubeconfig: access, login, page, kept });
    try {
      await using shell = startShell({ directory, env: sandbox.env });
      const strange: string[] = [];
      for (const block of page.blocks) {
        const commands = commandsOf(block);
        if (commands === '') continue;
        const { output } = await shell.run(commands);
        const [line] = /^.*(?:command not found|syntax error).*$/m.exec(output) ?? [];
        if (line !== undefined) strange.push(`${block.at}: ${line}`);
      }
      const inline = inlineCommandsOf(page.text);
      if (inline.length > 0) await shell.run(inline.join('\n'));
      return [...strange, ...sandbox.complaints()];
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  for (const page of readPages()) {
    const commands = page.blocks.map(commandsOf).join('') + inlineCommandsOf(page.text).join('');
    if (walked.includes(page.file) || commands === '') continue;
    test(`${page.file}: every command and option exists`, async () => {
      assert.deepEqual(await complaintsAbout(page), []);
    });
  }

  test('the commands of the table of reasons are among those of its page', () => {
    const known = new Set(inlineCommandsOf(readPage('docs/reference/reasons.md').text));
    const commands = Object.values(reasons).flatMap(({ remedy = '', command = '' }) =>
      inlineCommandsOf(`${remedy} \`${command}\``),
    );
    assert.ok(commands.length > 50, `${commands}`);
    assert.deepEqual(
      commands.filter((command) => !known.has(command)),
      [],
    );
  });

  describe('a wrong one is found', () => {
    const wrong = {
      'a program that does not exist': 'kubctl get pods',
      'a kind that does not exist': 'kubectl get glanceimgs',
      'a flag that does not exist': 'kubectl get gimg --al-namespaces',
      'a file that does not exist': 'kubectl apply -f nothing.yaml',
      'a value that the chart does not have':
        'helm install a oci://ghcr.io/glance-image-operator/charts/glance-image-operator --set replikas=2',
      'a script that does not exist': 'npm run demonstration',
      'a flag of ours that does not exist': 'glance-image-operator run --workerz 3',
      'a flag of the openstack command that does not exist': 'openstack image set --hiden x',
      'an openstack command that does not exist': 'openstack image stores info',
    };
    for (const [what, command] of Object.entries(wrong)) {
      test(what, async () => {
        const text = `\`\`\`sh\n${command}\n\`\`\`\n`;
        const page = { file: 'page.md', text, blocks: blocksOf('page.md', text) };
        assert.equal((await complaintsAbout(page)).length, 1);
      });
    }

    test('the check of the commands finds a wrong one in the middle of a sentence', async () => {
      const text = 'The names are those of `openstack image stores info`.\n';
      assert.equal((await complaintsAbout({ file: 'page.md', text, blocks: [] })).length, 1);
    });
  });
});
