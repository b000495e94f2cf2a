import { AimoError } from "@aimo/protocol/errors";

/**
 * Turns the failure of a server to listen into an error for people: `port_in_use` for a port that is taken,
 * `config_invalid` for one that may not be used or an address this machine does not have. Others stay as they are.
 */
export function listenError(error: unknown, { host, port }: { host: string; port: number }): unknown {
  const code = codeOf(error);
  const where = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  const details = { host, port };
  if (code === "EADDRINUSE")
    return new AimoError("port_in_use", {
      message: `${where} is used by another program.`,
      details,
      cause: error,
    });
  if (code === "EACCES")
    return new AimoError("config_invalid", {
      message: `This user may not listen on ${where}: choose a port above 1023.`,
      details,
      cause: error,
    });
  if (code === "EADDRNOTAVAIL")
    return new AimoError("config_invalid", {
      message: `This machine has no address ${host} to listen on.`,
      details,
      cause: error,
    });
  return error;
}

/** The system error code. libp2p wraps the errors of its listeners and keeps only their text, so that is read too. */
function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "string") return error.code;
  return /\b(EADDRINUSE|EADDRNOTAVAIL|EACCES)\b/.exec(error.message)?.[0];
}
