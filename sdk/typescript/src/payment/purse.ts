import type { WellKnown } from "@aimo/protocol/routes";
import { recoverSigner } from "@aimo/protocol/signatures";
import { domainSeparator } from "@aimo/protocol/typed-data";
import { formatUsd } from "@aimo/protocol/units";
import { formatVoucher, voucherDigest } from "@aimo/protocol/vouchers";
import { type Address, isAddressEqual } from "viem";
import { AimoError } from "../errors.ts";
import { HoldEstimates, type Ticket, VoucherAccount } from "./account.ts";
import type { VoucherDemand } from "./demand.ts";
import { type Payee, type Session, signVoucher } from "./session.ts";

export type PayerParameters = {
  readonly session: Session;
  readonly wellKnown: () => Promise<WellKnown>;
  /** What a request was charged, pUSD; undefined while it runs. */
  readonly chargeOf: (generationId: string) => Promise<bigint | undefined>;
};

/** What all payments of a client share. */
export class Purse {
  readonly account = new VoucherAccount();
  readonly estimates = new HoldEstimates();
  readonly parameters: PayerParameters;
  #channel: { readonly userId: number; readonly epoch: number } | undefined;
  #payee: Promise<Payee> | undefined;
  #highest: Promise<string> | undefined;
  #first: PromiseWithResolvers<void> | undefined;

  constructor(parameters: PayerParameters) {
    this.parameters = parameters;
  }

  /** The first request learns whom to pay; those that come with it wait for that, and are not refused too. */
  async introduced(): Promise<void> {
    if (this.#first) return this.#first.promise;
    this.#first = Promise.withResolvers();
  }

  introduce(): void {
    this.#first?.resolve();
  }

  /** The highest voucher, signed anew when it is below what is in flight. */
  voucher(): Promise<string> | undefined {
    const { account } = this;
    const channel = this.#channel;
    if (!channel) return undefined;
    const { maxAhead } = this.parameters.session;
    const wanted = account.wanted;
    if (wanted <= account.signed && this.#highest) return this.#highest;
    if (wanted > account.signed && account.ahead > maxAhead)
      throw new AimoError("voucher_ceiling", {
        message:
          `With this request ${formatUsd(account.ahead)} USD would be signed for beyond what was charged; ` +
          `the client allows ${formatUsd(maxAhead)} USD.`,
        status: 0,
      });
    account.noteSigned(wanted);
    const highest = this.#sign(channel, account.signed);
    this.#highest = highest;
    // What could not be signed is signed with the next request.
    highest.catch(() => {
      if (this.#highest === highest) this.#highest = undefined;
    });
    return highest;
  }

  /** Takes in what a relay demands. Throws `voucher_invalid` when it cannot be right. */
  async learn(demand: VoucherDemand, ticket: Ticket): Promise<void> {
    const { account, parameters } = this;
    const { userId, epoch, sessionKey, hold } = demand;
    const { address } = parameters.session.signer;
    if (!isAddressEqual(sessionKey, address))
      throw refuse(`The channel's session key is ${sessionKey}, and this client signs with ${address}.`);
    const known = this.#channel;
    if (known && known.userId !== userId)
      throw refuse(`The relay asks for vouchers of user ${userId}; so far it was user ${known.userId}.`);
    if (known && epoch < known.epoch)
      throw refuse(`The relay asks for epoch ${epoch} of the channel, which is in ${known.epoch}.`);
    if (known && epoch > known.epoch) {
      account.startEpoch();
      this.#highest = undefined;
    }
    this.#channel = { userId, epoch };
    ticket.max = hold;
    const foreign = demand.needed - account.wanted;
    if (foreign <= 0n && demand.highest <= account.signed) return;
    // Charged by an earlier run or by others: no more risk than there was, if this key did sign for it.
    const isOwn = demand.highest <= account.signed || (await this.#isOwn(demand));
    if (!isOwn || demand.claimed > demand.highest)
      throw refuse("The relay claims charges that were never signed for.");
    const missing = demand.needed - account.wanted;
    if (missing > 0n) account.addForeign(missing);
    if (demand.highest <= account.signed || !demand.signature) return;
    account.noteSigned(demand.highest);
    const { highest: cumulative, signature } = demand;
    this.#highest = Promise.resolve(formatVoucher({ epoch, cumulative, signature }));
  }

  async #isOwn({
    userId,
    epoch: channelEpoch,
    highest: cumulative,
    signature,
  }: VoucherDemand): Promise<boolean> {
    if (cumulative === 0n) return true;
    const { chainId, settlement, relayId } = await this.payee();
    const separator = domainSeparator({ chainId, verifyingContract: settlement });
    const digest = voucherDigest(separator, { relayId, userId, channelEpoch, cumulative });
    const signer = signature && (await recoverSigner(digest, signature));
    return signer !== undefined && isAddressEqual(signer, this.parameters.session.signer.address);
  }

  async #sign(
    channel: { readonly userId: number; readonly epoch: number },
    cumulative: bigint,
  ): Promise<string> {
    const { userId, epoch } = channel;
    const message = { userId, channelEpoch: epoch, cumulative };
    const signature = await signVoucher(this.parameters.session, await this.payee(), message);
    return formatVoucher({ epoch, cumulative, signature });
  }

  payee(): Promise<Payee> {
    this.#payee ??= this.#readPayee().catch((error: unknown) => {
      this.#payee = undefined;
      throw error;
    });
    return this.#payee;
  }

  async #readPayee(): Promise<Payee> {
    const { session, wellKnown } = this.parameters;
    const { relayId, chainId, settlement } = session.pinned;
    if (relayId !== undefined && chainId !== undefined && settlement !== undefined)
      return { relayId, chainId, settlement };
    const told = await wellKnown();
    return {
      relayId: relayId ?? told.relay.id,
      chainId: chainId ?? told.chain.id,
      settlement: settlement ?? (told.contracts["settlement"] as Address),
    };
  }
}

const refuse = (message: string) => new AimoError("voucher_invalid", { message, status: 0 });
