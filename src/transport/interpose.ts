import type { Server, Socket } from 'node:net';

/** Puts `guard` between an event of a server and those who listen to it so far: they are told when it calls `pass`. */
export function interpose(
  server: Server,
  event: 'connection' | 'secureConnection',
  guard: (socket: Socket, pass: () => void) => void,
): void {
  const listeners = server.listeners(event);
  server.removeAllListeners(event);
  server.on(event, (socket: Socket) => {
    guard(socket, () => {
      for (const listener of listeners) Reflect.apply(listener, server, [socket]);
    });
  });
}
