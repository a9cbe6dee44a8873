/**
 * Maps items as they come and yields the results in the same order. At most `aheadMax` of them are in the making, so that
 * a slow consumer is waited for.
 */
export async function* mapAhead<T, R>(
  items: AsyncIterable<T>,
  aheadMax: number,
  map: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const results: Promise<R>[] = [];
  for await (const item of items) {
    const result = map(item);
    // Thrown when its turn comes; until then it must not count as unhandled.
    result.catch(() => {});
    if (results.push(result) < aheadMax) continue;
    const [first] = results.splice(0, 1);
    if (first !== undefined) yield await first;
  }
  for (const result of results) yield await result;
}
