import type { KubernetesObject, Namespace } from './namespace.ts';

type Pod = KubernetesObject & {
  readonly status: {
    readonly phase: string;
    readonly containerStatuses?: readonly { readonly ready: boolean; readonly restartCount: number }[];
  };
};

const logLines = 20;
/** Of one command's output: its end is what happened last. */
const linesMax = 60;
const lineCharsMax = 260;

/** What a person would look at first, on stderr. */
export async function diagnose(namespace: Namespace): Promise<void> {
  const pods = await namespace.list<Pod>('pods');
  const troubled = pods.filter(
    ({ status: { phase, containerStatuses } }) =>
      phase !== 'Succeeded' && !containerStatuses?.every(({ ready, restartCount }) => ready && restartCount === 0),
  );
  await show(namespace, ['get', 'all,ingress,pvc', '--output=wide']);
  await show(namespace, ['get', 'events', '--sort-by=.lastTimestamp']);
  for (const { metadata } of troubled) await show(namespace, ['describe', 'pod', metadata.name]);
  for (const { metadata } of pods)
    await show(namespace, ['logs', metadata.name, '--all-containers', '--prefix', `--tail=${logLines}`]);
}

/** A command that fails, as for a pod without a log yet, says so. */
async function show(namespace: Namespace, args: readonly string[]): Promise<void> {
  const output = await namespace.kubectl(...args).catch(String);
  const lines = output.trimEnd().split('\n').slice(-linesMax);
  const end = lines.map((line) => line.slice(0, lineCharsMax)).join('\n');
  process.stderr.write(`\n--- kubectl ${args.join(' ')}\n${end}\n`);
}
