/** `node dev/postgres.ts FOLDER`: PostgreSQL on that folder until Ctrl-C; to look at what a failed test has left. */
import { once } from 'node:events';
import { startPostgres } from './embedded-postgres.ts';

const [dataDirectory] = process.argv.slice(2);
if (dataDirectory === undefined) {
  console.error('usage: node dev/postgres.ts FOLDER');
  process.exit(2);
}
await using postgres = await startPostgres({ dataDirectory, durable: true, persistent: true });
console.log(postgres.url());
// Something must keep the process alive until then: a pending promise does not.
const alive = setInterval(() => {}, 2 ** 31 - 1);
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
clearInterval(alive);
