import type { FastifyReply } from "fastify";

/**
 * Calls back once, when a reply is over or its client is gone; at once where the client has left already. A reply that
 * stands behind another one on its connection is not told that the connection has ended, so that is heard as well.
 */
export function onDeparture({ raw: response, request: { raw } }: FastifyReply, depart: () => void): void {
  const { socket } = raw;
  if (socket.destroyed) {
    depart();
    return;
  }
  const isBehind = response.socket === null;
  const departOnce = () => {
    response.off("close", departOnce);
    if (isBehind) socket.off("close", departOnce);
    depart();
  };
  response.once("close", departOnce);
  if (isBehind) socket.once("close", departOnce);
}
