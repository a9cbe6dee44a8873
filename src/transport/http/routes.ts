/** The ingest port's routes, by express's patterns. */
export const routes = {
  ingest: '/api/v1/ingest',
  batch: '/api/v1/ingest/batch',
  head: '/api/v1/devices/:id/head',
  openapi: '/openapi.json',
} as const;

const patterns = Object.values(routes).map((pattern) => ({
  pattern,
  matches: new RegExp(`^${pattern.replace(':id', '[^/]+')}/?$`),
}));

/** The pattern that the path is of. */
export function routeOf(path: string): string | undefined {
  return patterns.find(({ matches }) => matches.test(path))?.pattern;
}
