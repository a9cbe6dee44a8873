/** Commands of docs/deploy.md, as they are printed there. */
import { readFileSync } from 'node:fs';

const guide = new URL('../../../docs/deploy.md', import.meta.url);

export type CommandBlock = {
  /** What `<!-- ladder: NAME -->` above the block says; undefined where nothing is said. */
  readonly name: string | undefined;
  /** For `sh -ec`, in a checkout. */
  readonly script: string;
};

/** Every block of shell commands, in order. @param text the guide, unless another one is asked about */
export function commandBlocks(text = readFileSync(guide, 'utf8')): readonly CommandBlock[] {
  const blocks = text.matchAll(/^(?:<!-- ladder: ([a-z-]+) -->\n)?```sh\n(.*?)^```$/gms);
  return Array.from(blocks, ([, name, script = '']) => ({ name, script }));
}

/**
 * The commands of one named block, for a release in a namespace of the caller's.
 *
 * @throws Error when the guide has no such block, or more than one
 */
export function ladderScript(name: string, namespace: string): string {
  const [block, ...more] = commandBlocks().filter((block) => block.name === name);
  if (block === undefined) throw new Error(`no block of docs/deploy.md is named ${name}`);
  if (more.length > 0) throw new Error(`${more.length + 1} blocks of docs/deploy.md are named ${name}`);
  return block.script.replaceAll('namespace edgesentry', `namespace ${namespace}`);
}
