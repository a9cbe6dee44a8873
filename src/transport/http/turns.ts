import type { RequestHandler } from 'express';
import { refuseOverloaded } from './limits.ts';

/** Of a turn of the event loop, which then takes some ten milliseconds; some dozens of senders at once notice nothing. */
export const begunPerTurnMax = 64;
/** Refusing costs a third of admitting, so most of a turn is for those who are admitted. */
export const refusedPerTurnMax = 64;
/** About what a pod admits in half a second. */
export const lineMax = 1_024;
/** As many as there are connections. Only whoever sends requests without awaiting answers gets further. */
const refusalsWaitingMax = 10_000;

type Task = () => void;

/**
 * A bounded number of tasks begins in each turn of the event loop. The others wait in line for the next turns. When the
 * line is full they are refused, in turns of their own: neither does refusing hold up what has begun, nor the other way round.
 */
export class Turns {
  readonly #line: Task[] = [];
  readonly #refusals: Task[] = [];
  /** In this turn. While it is 0, no next turn is scheduled. */
  #taken = 0;

  take(begin: Task, refuse: Task): void {
    if (this.#taken < begunPerTurnMax) this.#run([begin]);
    else if (this.#line.length < lineMax) this.#line.push(begin);
    else if (this.#refusals.length < refusalsWaitingMax) this.#refusals.push(refuse);
    else refuse();
  }

  #run(tasks: readonly Task[]): void {
    if (this.#taken === 0 && tasks.length > 0) setImmediate(() => this.#next());
    this.#taken += tasks.length;
    for (const task of tasks) task();
  }

  #next(): void {
    this.#taken = 0;
    this.#run([...this.#line.splice(0, begunPerTurnMax), ...this.#refusals.splice(0, refusedPerTurnMax)]);
  }
}

/**
 * Requests begin in turns. Node goes on reading for as long as there is something to read: thousands of senders that ask
 * again as soon as they are refused would keep it at that for seconds, and meanwhile nothing is stored, committed or
 * timed. The service would refuse all day and accept nothing.
 */
export function takeTurns(): RequestHandler {
  const turns = new Turns();
  return (request, response, next) => {
    // Whoever has gone meanwhile needs no answer.
    const unlessGone = (task: Task) => () => request.socket.destroyed || task();
    const refuse = () => refuseOverloaded(request, response, 'too many requests at once');
    turns.take(unlessGone(next), unlessGone(refuse));
  };
}
