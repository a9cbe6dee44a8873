import { runCommand } from './command.ts';
import { ladderScript } from './doc-commands.ts';
import type { Namespace } from './namespace.ts';
import { watched } from './progress.ts';

/** The commands wait by themselves, and say for how long. */
const deadlineMs = 11 * 60_000;

/** Types what docs/deploy.md says in the block of this name. @returns what the commands wrote */
export function followGuide(name: string, namespace: Namespace): Promise<string> {
  const script = ladderScript(name, namespace.name);
  return watched(`docs/deploy.md, ${name}`, () => runCommand('sh', ['-ec', script], { deadlineMs }));
}
