/** What the ladder is told of the cluster and of the image. */
export type Settings = {
  /** As the nodes have it. */
  readonly image: { readonly repository: string; readonly tag: string };
  /** Where the ingress controller takes TLS connections from here. */
  readonly ingress: { readonly address: string; readonly port: number; readonly className: string };
  /** A Gateway of this class passes TLS through on this port, and is reached as the ingress is. */
  readonly gateway: { readonly className: string; readonly port: number };
};

export const clusterMissing =
  'NO CLUSTER TO TEST ON: set KUBECONFIG to one with CloudNativePG, a StorageClass and an ingress controller; nothing of the chart was tested on Kubernetes';

/** Undefined without KUBECONFIG: no cluster is touched that nobody named. @throws Error naming the variable */
export function settingsFrom(env: NodeJS.ProcessEnv): Settings | undefined {
  if (!env.KUBECONFIG) return undefined;
  const [, repository, tag] = /^(.+):([^:/]+)$/.exec(env.EDS_IMAGE ?? 'edgesentry:dev') ?? [];
  if (!repository || !tag) throw new Error(`EDS_IMAGE is ${env.EDS_IMAGE}: expected REPOSITORY:TAG`);
  const { hostname, port } = new URL(`tcp://${env.EDS_INGRESS_ADDRESS ?? '127.0.0.1:30443'}`);
  if (!hostname || !port) throw new Error(`EDS_INGRESS_ADDRESS is ${env.EDS_INGRESS_ADDRESS}: expected HOST:PORT`);
  return {
    image: { repository, tag },
    ingress: { address: hostname, port: Number(port), className: env.EDS_INGRESS_CLASS ?? 'traefik' },
    gateway: { className: env.EDS_GATEWAY_CLASS ?? 'traefik', port: Number(env.EDS_GATEWAY_PORT ?? 8443) },
  };
}
