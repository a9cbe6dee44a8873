import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { AnswerQueue } from './answer-queue.ts';
import { type Reply, refusal } from './reply.ts';

/** A response whose client reads when the test says so. */
class SlowResponse extends EventEmitter {
  text = '';
  writableLength = 0;
  destroyed = false;
  reading = true;

  write(text: string): boolean {
    this.text += text;
    if (!this.reading) this.writableLength += text.length;
    return this.reading;
  }

  read(): void {
    this.reading = true;
    this.writableLength = 0;
    this.emit('drain');
  }

  close(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

function open() {
  const response = new SlowResponse();
  return { response, queue: new AnswerQueue(response as unknown as ServerResponse) };
}

const reply = (error: string): Reply => refusal('invalid_field', error);
const errorsIn = (text: string) =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { error: string }).error);
/** Lets everything run that can run without another event. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await setImmediate();
}

test('answers are written in the order of the lines, though they become known in another', async () => {
  const { response, queue } = open();
  const written = queue.write();
  const [first, second] = [Promise.withResolvers<Reply>(), Promise.withResolvers<Reply>()];
  queue.pushLater(first.promise);
  queue.pushLater(second.promise);
  queue.push(reply('3'));
  second.resolve(reply('2'));
  await settle();
  assert.equal(response.text, '');
  first.resolve(reply('1'));
  queue.end();
  await written;
  assert.deepEqual(errorsIn(response.text), ['1', '2', '3']);
});

test('an answer is written as soon as it is known, before the end', async () => {
  const { response, queue } = open();
  const written = queue.write();
  queue.push(reply('1'));
  await settle();
  assert.deepEqual(errorsIn(response.text), ['1']);
  queue.end();
  await written;
});

test('a client that does not read holds up the lines that are judged, and is not forgotten', async () => {
  const { response, queue } = open();
  response.reading = false;
  const written = queue.write();
  const long = 'x'.repeat(1024);
  let pushed = 0;
  let stalled = false;
  while (!stalled && pushed < 100_000) {
    const room = queue.room().then(() => false);
    stalled = await Promise.race([room, settle().then(() => true)]);
    if (stalled) break;
    queue.push(reply(long));
    pushed++;
  }
  assert.ok(stalled);
  // A mebibyte that was written, the write after which that was noticed, and the 4,096 answers behind it.
  assert.ok(pushed * 1024 < 10 * 1024 * 1024, `${pushed} answers`);
  response.read();
  await queue.room();
  queue.end();
  await written;
  assert.equal(errorsIn(response.text).length, pushed);
});

test('a client that has gone frees whoever waits', async () => {
  const { response, queue } = open();
  response.reading = false;
  const written = queue.write();
  const never = Promise.withResolvers<Reply>();
  for (let count = 0; count < 5000; count++) queue.pushLater(never.promise);
  const room = queue.room();
  response.close();
  await Promise.all([room, written]);
  assert.ok(queue.closed);
});

test('waiting for a slow client time and again leaves nothing behind on its response', async () => {
  const { response, queue } = open();
  const written = queue.write();
  const listeners = () => response.eventNames().map((name) => response.listenerCount(name));
  const before = listeners();
  for (let round = 0; round < 20; round++) {
    response.reading = false;
    queue.push(reply('x'.repeat(2 * 1024 * 1024)));
    await settle();
    response.read();
    await settle();
  }
  assert.deepEqual(listeners(), before);
  queue.end();
  await written;
});
