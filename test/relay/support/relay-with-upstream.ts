import { type FaultUpstream, startFaultUpstream } from "../../provider/support/fault-upstream.ts";
import { type RelayWithProvider, startRelayWithProvider } from "./relay-with-provider.ts";

/** A relay, a provider, and an inference server that answers as a test says. */
export async function startRelayWithUpstream(): Promise<{
  readonly upstream: FaultUpstream;
  readonly network: RelayWithProvider;
  close(): Promise<void>;
}> {
  const upstream = await startFaultUpstream();
  const network = await startRelayWithProvider({}, { upstream: upstream.url });
  const close = async () => {
    await network.close();
    await upstream.close();
  };
  return { upstream, network, close };
}
