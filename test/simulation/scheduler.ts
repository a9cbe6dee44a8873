/** Where simulated time begins. Not zero, so that keys can have become valid before. */
const startMs = 1_000_000;

type Event = { readonly dueMs: number; readonly order: number; readonly task: () => void };

/** Owns simulated time. What is to happen later is an event; the earliest runs once everything before it has had its say. */
export class Scheduler {
  readonly #events = new Set<Event>();
  #nowMs = startMs;
  #scheduled = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, task: () => void): void {
    this.#events.add({ dueMs: this.#nowMs + delayMs, order: this.#scheduled++, task });
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Runs until nothing is left to happen; `endless` when that takes more than `eventsMax`. */
  async run(eventsMax: number): Promise<'idle' | 'endless'> {
    for (let ran = 0; ran < eventsMax; ran++) {
      await microtasksDone();
      const event = this.#earliest();
      if (event === undefined) return 'idle';
      this.#events.delete(event);
      this.#nowMs = event.dueMs;
      event.task();
    }
    return 'endless';
  }

  #earliest(): Event | undefined {
    let earliest: Event | undefined;
    for (const event of this.#events) {
      const { dueMs, order } = earliest ?? { dueMs: Infinity, order: Infinity };
      if (event.dueMs < dueMs || (event.dueMs === dueMs && event.order < order)) earliest = event;
    }
    return earliest;
  }
}

/** Node runs the ticks only once no promise reaction is left. */
const microtasksDone = () => new Promise<void>((resolve) => process.nextTick(resolve));
