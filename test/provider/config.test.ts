import { isAimoError } from "@aimo/protocol/errors";
import { parseConfig } from "@aimo/provider/config";
import { expect } from "chai";

const TEXT = `
[provider]
key_file = "node.key"
rpc_url = "http://127.0.0.1:8545"
deployment_file = "deployment.json"
data_folder = "data"
[[upstreams]]
name = "gpu"
base_url = "http://127.0.0.1:8000/v1"
vendor = "vllm"
api_key_env = "GPU_KEY"
[[models]]
id = "acme/text"
upstream = "gpu"
upstream_model = "Acme-7B"
context_tokens = 32768
[models.pricing]
prompt = 0.15
cached = "0.075"
completion = 0.6
`;
const options = { folder: "/etc/aimo", environment: { GPU_KEY: "k" } };
const faultOf = (text: string): string => {
  try {
    parseConfig(text, options);
  } catch (error) {
    if (isAimoError(error) && error.code === "config_invalid") return error.message;
    throw error;
  }
  throw new Error("The configuration was taken.");
};

describe("provider config", () => {
  it("reads prices exactly, paths from the file's folder, and secrets from the environment", () => {
    const config = parseConfig(TEXT, options);
    expect(config.models[0]?.prices).to.deep.equal([150_000n, 75_000n, 600_000n]);
    expect(config.creditLimit).to.equal(500_000_000_000n);
    expect([config.keyFile, config.dataFolder]).to.deep.equal(["/etc/aimo/node.key", "/etc/aimo/data"]);
    expect(config.upstreams[0]?.apiKey).to.equal("k");
    expect(config.models[0]?.maxOutputTokens).to.equal(4_096);
  });

  it("reads images per image and cached as prompt where it is left out", () => {
    const text = TEXT.replace('cached = "0.075"\n', "").concat(
      '[[models]]\nid = "acme/image"\nroute = "images"\nupstream = "gpu"\n[models.pricing]\nimage = "0.02"\n',
    );
    const [chat, image] = parseConfig(text, options).models;
    expect(chat?.prices[1]).to.equal(150_000n);
    expect(image?.prices).to.deep.equal([0n, 0n, 20_000_000_000n]);
  });

  it("reads what a provider promises: of all its models, and of one", () => {
    const text = TEXT.replace(
      "[[upstreams]]",
      'zero_retention = true\nresidency = "eu"\n[[upstreams]]',
    ).replace(
      "context_tokens",
      'quantization = "fp8"\nsupported_parameters = ["tools"]\nresidency = "eu-west"\nhidden_reasoning = true\ncontext_tokens',
    );
    expect(parseConfig(text, options).models[0]?.claims).to.deep.equal({
      ...{ zeroRetention: true, residency: "eu-west", quantization: "fp8", supportedParameters: ["tools"] },
      hiddenReasoning: true,
    });
    expect(parseConfig(TEXT, options).models[0]?.claims).to.deep.equal({});
  });

  const faults: readonly (readonly [string, string, string, string])[] = [
    ["a missing setting", 'key_file = "node.key"', "", "provider.key_file"],
    ["a misspelt setting", "[[upstreams]]", 'regoin = "eu"\n[[upstreams]]', "provider.regoin"],
    ["an RPC URL of another kind", "http://127.0.0.1:8545", "ws://127.0.0.1:8545", "provider.rpc_url"],
    ["a price that is no amount", "prompt = 0.15", 'prompt = "cheap"', "models[0].pricing.prompt"],
    ["a price below the smallest step", "prompt = 0.15", 'prompt = "0.0000001"', "models[0].pricing.prompt"],
    ["a price below zero", "prompt = 0.15", "prompt = -1", "models[0].pricing.prompt"],
    ["a cached price above the prompt's", '"0.075"', '"0.2"', "models[0].pricing.cached"],
    ["an upstream that is not there", 'upstream = "gpu"', 'upstream = "cpu"', "models[0].upstream"],
    [
      "a quantization that nobody knows",
      "context_tokens",
      'quantization = "fp7"\ncontext_tokens',
      "models[0].quantization",
    ],
    [
      "a parameter's name in capitals",
      "context_tokens",
      'supported_parameters = ["A"]\ncontext_tokens',
      "models[0].supported_parameters",
    ],
    ["a residency in capitals", "context_tokens", 'residency = "EU"\ncontext_tokens', "models[0].residency"],
    ["a slug that the registry refuses", '"acme/text"', '"Acme Text"', "models[0].id"],
    ["an unknown vendor", '"vllm"', '"vlm"', "upstreams[0].vendor"],
    ["a secret that is not set", '"GPU_KEY"', '"NO_KEY"', "NO_KEY"],
    [
      "an open port without an endpoint",
      "[[upstreams]]",
      'host = "0.0.0.0"\n[[upstreams]]',
      "provider.endpoint",
    ],
    [
      "an endpoint without TLS",
      "[[upstreams]]",
      'endpoint = "http://a.example"\n[[upstreams]]',
      "provider.endpoint",
    ],
    [
      "prices to be set without the owner",
      "[[upstreams]]",
      "sync_prices = true\n[[upstreams]]",
      "provider.sync_prices",
    ],
    [
      "a limit out of range",
      "[[upstreams]]",
      "max_concurrency = 0\n[[upstreams]]",
      "provider.max_concurrency",
    ],
    ["broken TOML", "[provider]", "[provider", "TOML"],
  ];
  for (const [title, from, to, name] of faults)
    it(`names ${title}`, () => expect(faultOf(TEXT.replace(from, to))).to.contain(name));
});
