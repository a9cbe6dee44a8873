import type { Observer } from '../../src/ingest/ports.ts';

/** Is told of everything and says nothing. */
export const silentObserver: Observer = {
  decided: () => {},
  failed: () => {},
  stage: () => {},
  clockSkew: () => {},
  committed: () => {},
  headLookup: () => {},
  limited: () => {},
};
