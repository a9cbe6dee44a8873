/** A process of its own: opens every connection first, says `ready`, waits for `go`, sends, reports a PacedResult. */
import { setTimeout as sleep } from 'node:timers/promises';
import { signingKeyFromSeed } from '../src/record/signing-key.ts';
import { AnswerTally } from './answer-tally.ts';
import { HttpConnection } from './http-client.ts';
import { PacedDevice } from './paced-device.ts';
import type { PacedPlan, PacedResult } from './paced-plan.ts';

/** Connections that are opened at once: fewer than a listener's backlog. */
const openedAtOnce = 256;
/** Between two looks at what is due. */
const tickMs = 1;
/** Past every deadline that the service has for a single envelope. */
const answerDeadlineMs = 40_000;

type Sender = { readonly device: PacedDevice; readonly connection: HttpConnection };

const plan: PacedPlan = JSON.parse(process.argv[2] ?? '');

async function openSenders(): Promise<Sender[]> {
  const key = signingKeyFromSeed(Buffer.from(plan.privateKeyHex, 'hex'));
  const devices = Array.from(
    { length: plan.devices },
    (_, n) => new PacedDevice(`${plan.devicePrefix}-${n}`, plan, key),
  );
  const senders: Sender[] = [];
  while (senders.length < plan.connections) {
    const count = Math.min(openedAtOnce, plan.connections - senders.length);
    const opening = Array.from({ length: count }, async (_, index): Promise<Sender> => {
      const number = senders.length + index;
      const from = plan.from[number % plan.from.length];
      const device = devices[number % devices.length] as PacedDevice;
      return { device, connection: await HttpConnection.open(plan.url, from) };
    });
    senders.push(...(await Promise.all(opening)));
  }
  return senders;
}

const outcomeOf = (body: string): string =>
  body.startsWith('{"status":"accepted"') ? 'accepted' : (/"code":"(\w+)"/.exec(body)?.[1] ?? body.slice(0, 80));

const senders = await openSenders();
/** First in, first out, so that all take turns. */
const idle = [...senders];
const inFlight = new Set<Promise<void>>();
const tally = new AnswerTally();
let unanswered = 0;

/** One request; the sender is idle again afterwards, unless its connection broke. */
async function ask(sender: Sender, startMs: number): Promise<void> {
  const { device, connection } = sender;
  const { body } = device;
  const sentMs = performance.now();
  try {
    const answer = await connection.post('/api/v1/ingest', 'application/json', body);
    const what = outcomeOf(answer.body.toString());
    tally.add(what, sentMs - startMs, performance.now() - sentMs);
    if (what === 'accepted' || what === 'duplicate_record') device.stored(body);
    idle.push(sender);
  } catch {
    unanswered++;
  }
}

async function sendAll(startMs: number): Promise<{ due: number; sent: number }> {
  let due = 0;
  let sent = 0;
  for (;;) {
    const elapsedMs = Math.min(performance.now() - startMs, plan.seconds * 1000);
    for (const target = Math.floor((elapsedMs / 1000) * plan.perSecond); due < target; due++) {
      const sender = idle.shift();
      if (sender === undefined) continue;
      sent++;
      const asked = ask(sender, startMs);
      inFlight.add(asked);
      void asked.then(() => inFlight.delete(asked));
    }
    if (elapsedMs >= plan.seconds * 1000) return { due, sent };
    await sleep(tickMs);
  }
}

process.send?.('ready');
process.once('message', async () => {
  const startMs = performance.now();
  const cpuBefore = process.cpuUsage();
  const counts = await sendAll(startMs);
  const { user, system } = process.cpuUsage(cpuBefore);
  const cores = (user + system) / 1000 / (performance.now() - startMs);
  await Promise.race([Promise.all(inFlight), sleep(answerDeadlineMs)]);
  const heads = [...new Set(senders.map(({ device }) => device))].flatMap(({ acknowledged }) => acknowledged ?? []);
  const result: PacedResult = { ...counts, unanswered: unanswered + inFlight.size, ...tally.result(), heads, cores };
  // Only when it has left: thousands of heads do not fit into the channel at once.
  process.send?.(result, undefined, undefined, () => process.exit());
});
