import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTlsPort, tlsSocket, until, whoAmI } from '../../../test/guarded-port.ts';

test('a client that goes when its renegotiation is refused leaves no connection behind, which a drain would wait for', async () => {
  await using port = await openTlsPort();
  const socket = await tlsSocket(port, { maxVersion: 'TLSv1.2' });
  await whoAmI(socket);
  const refused = Promise.withResolvers<Error>();
  socket.on('error', refused.resolve);
  socket.renegotiate({ rejectUnauthorized: true }, () => {});
  assert.match(String(await refused.promise), /no.?renegotiation/i);
  socket.destroy();
  await until(
    () => port.connections.open === 0,
    () => `${port.connections.open} open`,
  );
});
