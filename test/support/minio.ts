/** A real S3 server for tests: MinIO on free loopback ports with a directory of its own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { freePort } from '../../dev/ports.ts';

export type S3Credentials = { accessKeyId: string; secretAccessKey: string; sessionToken?: string };

export type Minio = AsyncDisposable & {
  readonly endpoint: string;
  readonly credentials: S3Credentials;
  /** Undefined while it is not running. */
  readonly pid: number | undefined;
  makeBucket(bucket: string): Promise<void>;
  /** Credentials that may put objects and nothing else, as the deployment guide asks. */
  writeOnlyCredentials(): Promise<S3Credentials>;
  /** Stops answering, connections stay open (SIGSTOP). */
  pause(): void;
  resume(): void;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** On the same port and directory as before. */
  start(): Promise<void>;
};

export const minioMissing =
  'NO S3 SERVER FOR THIS TEST: set MINIO_BIN, put minio on PATH, or start a docker that can pull its image; nothing about S3 was tested here';

const image = 'minio/minio:RELEASE.2025-09-07T16-13-09Z';
/** Of MinIO, or of docker that fetches its image first. */
const startDeadlineMs = 120_000;
const pollMs = 50;

/** Undefined where there is no MinIO: the test then skips with `minioMissing`. */
export async function startMinio(): Promise<Minio | undefined> {
  const launch = findLauncher();
  if (launch === undefined) return undefined;
  const directory = await mkdtemp(join(tmpdir(), 'edgesentry-minio-'));
  const server = new MinioServer(launch, directory, await freePort(), await freePort());
  await server.start();
  return server;
}

type Launch = (server: { directory: string; port: number; consolePort: number; env: NodeJS.ProcessEnv }) => Launched;
type Launched = {
  process: ChildProcess;
  pid: number | undefined;
  signal: (signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL') => void;
};

function findLauncher(): Launch | undefined {
  const binary = process.env.MINIO_BIN || 'minio';
  if (spawnSync(binary, ['--version']).status === 0) return launchBinary(binary);
  return hasImage() ? launchContainer : undefined;
}

/** A docker without a way to the registry is as good as none. */
function hasImage(): boolean {
  const docker = (...args: string[]) => spawnSync('docker', args, { timeout: startDeadlineMs }).status === 0;
  return docker('image', 'inspect', image) || docker('pull', '--quiet', image);
}

function launchBinary(binary: string): Launch {
  return ({ directory, port, consolePort, env }) => {
    const addresses = ['--address', `127.0.0.1:${port}`, '--console-address', `127.0.0.1:${consolePort}`];
    const child = spawn(binary, ['server', directory, ...addresses], {
      env: { ...process.env, ...env },
      stdio: 'ignore',
    });
    return { process: child, pid: child.pid, signal: (signal) => child.kill(signal) };
  };
}

const launchContainer: Launch = ({ directory, port, env }) => {
  const name = `edgesentry-minio-${port}`;
  const variables = Object.keys(env).flatMap((key) => ['--env', key]);
  const user = `${process.getuid?.()}:${process.getgid?.()}`;
  const mounts = ['--volume', `${directory}:/data`, '--publish', `127.0.0.1:${port}:9000`, '--user', user];
  const child = spawn('docker', ['run', '--rm', '--name', name, ...variables, ...mounts, image, 'server', '/data'], {
    env: { ...process.env, ...env },
    stdio: 'ignore',
  });
  return {
    process: child,
    pid: undefined,
    signal: (signal) => spawnSync('docker', ['kill', '--signal', signal, name]),
  };
};

class MinioServer implements Minio {
  readonly endpoint: string;
  readonly credentials: S3Credentials = { accessKeyId: 'edgesentry', secretAccessKey: randomBytes(20).toString('hex') };
  readonly #launch: Launch;
  readonly #directory: string;
  readonly #port: number;
  readonly #consolePort: number;
  #running: Launched | undefined;

  constructor(launch: Launch, directory: string, port: number, consolePort: number) {
    this.#launch = launch;
    this.#directory = directory;
    this.#port = port;
    this.#consolePort = consolePort;
    this.endpoint = `http://127.0.0.1:${port}`;
  }

  get pid(): number | undefined {
    return this.#running?.pid;
  }

  async start(): Promise<void> {
    const env = {
      MINIO_ROOT_USER: this.credentials.accessKeyId,
      MINIO_ROOT_PASSWORD: this.credentials.secretAccessKey,
      MINIO_BROWSER: 'off',
    };
    this.#running = this.#launch({
      directory: this.#directory,
      port: this.#port,
      consolePort: this.#consolePort,
      env,
    });
    const deadline = performance.now() + startDeadlineMs;
    while (!(await this.#isReady())) {
      const { exitCode } = this.#running.process;
      if (exitCode !== null || performance.now() > deadline) throw new Error(`MinIO did not start (exit ${exitCode})`);
      await sleep(pollMs);
    }
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.endpoint}/minio/health/ready`)).ok;
    } catch {
      return false;
    }
  }

  async makeBucket(bucket: string): Promise<void> {
    const client = new S3Client({
      endpoint: this.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: this.credentials,
    });
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    client.destroy();
  }

  async writeOnlyCredentials(): Promise<S3Credentials> {
    const policy = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 's3:PutObject', Resource: '*' }] };
    const form = new URLSearchParams({
      Action: 'AssumeRole',
      Version: '2011-06-15',
      DurationSeconds: '3600',
      Policy: JSON.stringify(policy),
    });
    const answer = await postSigned(this.endpoint, form.toString(), this.credentials);
    const field = (name: string) => new RegExp(`<${name}>(.*)</${name}>`).exec(answer)?.[1] ?? '';
    return {
      accessKeyId: field('AccessKeyId'),
      secretAccessKey: field('SecretAccessKey'),
      sessionToken: field('SessionToken'),
    };
  }

  pause(): void {
    this.#running?.signal('SIGSTOP');
  }

  resume(): void {
    this.#running?.signal('SIGCONT');
  }

  async kill(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined || running.process.exitCode !== null) return;
    const exited = once(running.process, 'exit');
    running.signal('SIGKILL');
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** A request to MinIO's STS, signed by AWS Signature Version 4, whose steps it follows. */
async function postSigned(endpoint: string, body: string, keys: S3Credentials): Promise<string> {
  const now = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${now.slice(0, 8)}/us-east-1/sts/aws4_request`;
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const contentType = 'application/x-www-form-urlencoded';
  const headers = `content-type:${contentType}\nhost:${new URL(endpoint).host}\nx-amz-date:${now}\n`;
  const request = ['POST', '/', '', headers, 'content-type;host;x-amz-date', sha256(body)].join('\n');
  const signingKey = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${keys.secretAccessKey}`);
  const signature = hmac(signingKey, ['AWS4-HMAC-SHA256', now, scope, sha256(request)].join('\n')).toString('hex');
  const signed = `SignedHeaders=content-type;host;x-amz-date, Signature=${signature}`;
  const authorization = `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${scope}, ${signed}`;
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': contentType, 'x-amz-date': now, authorization },
    body,
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`STS answered ${response.status}: ${answer}`);
  return answer;
}
