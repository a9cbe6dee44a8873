import { mkdir, mkdtemp, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A folder laid out as kubelet mounts a Secret: name -> ..data/name, ..data -> ..<generation>. */
export class MountedSecret {
  readonly folder: string;
  #generation = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(t: TestContext, files: Readonly<Record<string, string>>): Promise<MountedSecret> {
    const folder = await mkdtemp(join(tmpdir(), 'eds-secret-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const secret = new MountedSecret(folder);
    await secret.update(files);
    for (const name of Object.keys(files)) await symlink(join('..data', name), secret.path(name));
    return secret;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** All files at once, by one rename of the link `..data`; the files of before are then removed. */
  async update(files: Readonly<Record<string, string>>): Promise<void> {
    const generation = `..2026_11_22_${++this.#generation}`;
    await mkdir(this.path(generation));
    for (const [name, text] of Object.entries(files)) await writeFile(join(this.path(generation), name), text);
    const before = this.#generation === 1 ? undefined : await readlink(this.path('..data'));
    await symlink(generation, this.path('..data_tmp'));
    await rename(this.path('..data_tmp'), this.path('..data'));
    if (before !== undefined) await rm(this.path(before), { recursive: true });
  }
}
