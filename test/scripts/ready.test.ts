import { expect } from "chai";
import { readyText } from "../../scripts/local/ready.ts";

describe("scripts/ready text", () => {
  const network = {
    rpcUrl: "http://127.0.0.1:1",
    relays: [{ p2p: ["/ip4/127.0.0.1/tcp/1/p2p/a"] }],
    deployment: { chainId: 31337 },
    users: [{ baseUrl: "http://127.0.0.1:2/v1", apiKey: "aimo-sk-1", channelUsd: "10", relayId: 1 }],
    ...{ models: ["demo-text"], model: "demo-text" },
  } as unknown as Parameters<typeof readyText>[0];

  it("names the folder of a network that is not in the usual one, so that the bill of that one is verified", () => {
    expect(readyText(network, { data: ".aimo/local" })).to.contain("bill verify\n");
    expect(readyText(network, { data: ".aimo/second" })).to.contain("bill verify --data .aimo/second\n");
    expect(readyText(network, { data: "my second" })).to.contain('bill verify --data "my second"\n');
  });
});
