/** `helm test`: the operations port answers. `test-health OPS_URL` */
const timeoutMs = 5_000;

const [url = ''] = process.argv.slice(2);
for (const path of ['/livez', '/readyz', '/metrics']) {
  const response = await fetch(new URL(path, url), { signal: AbortSignal.timeout(timeoutMs) });
  const body = await response.text();
  console.log(`${path}: ${response.status}${response.ok ? '' : ` ${body}`}`);
  if (!response.ok) process.exitCode = 1;
}
