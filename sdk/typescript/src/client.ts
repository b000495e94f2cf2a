import type { GenerationProof } from "@aimo/protocol/bill";
import type { GenerationJson } from "@aimo/protocol/generation";
import type { CreditsJson, WellKnown } from "@aimo/protocol/routes";
import { type AimoClientOptions, readConfig } from "./config.ts";
import { createPayer, type Payer } from "./payment/payer.ts";
import { readSession, type SessionOptions } from "./payment/session.ts";
import {
  type Account,
  type Channels,
  createAccount,
  type Keys,
  type Models,
  type Settlements,
} from "./resources/account.ts";
import { createSignIn, type MessageSigner, type Session, type SignIn } from "./resources/auth.ts";
import { type Chat, createChat } from "./resources/chat.ts";
import { createEmbeddings, type Embeddings } from "./resources/embeddings.ts";
import { createImages, type Images } from "./resources/images.ts";
import { createInference } from "./resources/inference.ts";
import { createTransport, type RequestOptions } from "./transport.ts";

/**
 * Client of one relay.
 *
 * @example
 * const client = new AimoClient({ apiKey: process.env.AIMO_API_KEY });
 * const response = await client.chat.completions.create({
 *   model: "demo-text",
 *   messages: [{ role: "user", content: "Hello!" }],
 * });
 * console.log(response.choices[0].message.content, response.aimo.cost_pusd);
 */
export class AimoClient {
  readonly baseURL: string;
  readonly chat: Chat;
  readonly images: Images;
  readonly embeddings: Embeddings;
  readonly models: Models;
  /** The account's bill, batch by batch. */
  readonly settlements: Settlements;
  /** API keys; needs a session token of `signIn` in place of an API key. */
  readonly keys: Keys;
  /** The account's channel to this relay. */
  readonly channels: Channels;
  readonly #account: Account;
  readonly #signIn: SignIn;

  /** Throws AimoError `config_invalid`. A missing key is an error only where a route needs one. */
  constructor(options: AimoClientOptions = {}) {
    const config = readConfig(options);
    const transport = createTransport(config);
    this.baseURL = config.baseURL;
    this.#account = createAccount(transport);
    const payer = options.session && this.#createPayer(options.session);
    const inference = createInference({ transport, records: options.records, payer });
    this.chat = createChat(inference);
    this.images = createImages(inference);
    this.embeddings = createEmbeddings(inference);
    this.models = this.#account.models;
    this.settlements = this.#account.settlements;
    this.keys = this.#account.keys;
    this.channels = this.#account.channels;
    this.#signIn = createSignIn(transport);
  }

  #createPayer(session: SessionOptions): Payer {
    const { wellKnown, generation } = this.#account;
    return createPayer({
      session: readSession(session),
      wellKnown: () => wellKnown(),
      async chargeOf(id) {
        const { data } = await generation(id);
        return data.state === "running" ? undefined : BigInt(data.aimo.cost_pusd);
      },
    });
  }

  /** Signs in with a wallet. The token stands in for an API key in a new client, for a few minutes. */
  signIn(wallet: MessageSigner, options?: RequestOptions): Promise<Session> {
    return this.#signIn(wallet, options);
  }

  /** Credits in the vault and what the channel to this relay covers. */
  credits(options?: RequestOptions): Promise<CreditsJson> {
    return this.#account.credits(options);
  }

  /** What a request finally cost, and how far its bill is. */
  generation(id: string, options?: RequestOptions): Promise<GenerationJson> {
    return this.#account.generation(id, options);
  }

  /** One receipt with its way to the on-chain root. Check it with `verifyGeneration`. */
  proof(id: string, options?: RequestOptions): Promise<GenerationProof> {
    return this.#account.proof(id, options);
  }

  /** Who the relay is: ids, contracts, fee, bond. Its own word; the chain has the last. */
  wellKnown(options?: RequestOptions): Promise<WellKnown> {
    return this.#account.wellKnown(options);
  }
}
