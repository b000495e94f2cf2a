import type { Command } from "./command.ts";
import * as auth from "./commands/auth.ts";
import * as bill from "./commands/bill.ts";
import * as channels from "./commands/channels.ts";
import { chat } from "./commands/chat.ts";
import { claim } from "./commands/claim.ts";
import * as credits from "./commands/credits.ts";
import * as demands from "./commands/demands.ts";
import { dev, faucet } from "./commands/dev.ts";
import * as keys from "./commands/keys.ts";
import * as models from "./commands/models.ts";
import * as nodes from "./commands/nodes.ts";
import * as reserves from "./commands/reserves.ts";
import { walletCreate } from "./commands/wallet.ts";

/** Every command, in the order of the help and the reference page. */
export const COMMANDS: readonly Command[] = [
  dev,
  faucet,
  walletCreate,
  auth.login,
  auth.session,
  auth.logout,
  credits.buy,
  credits.balance,
  channels.channelOpen,
  channels.channelThaw,
  channels.channelCancelThaw,
  channels.channelWithdraw,
  channels.channelRevokeKey,
  keys.create,
  keys.list,
  keys.revoke,
  models.list,
  chat,
  bill.verify,
  demands.demand,
  demands.resolve,
  nodes.providerRegister,
  nodes.providerStake,
  nodes.providerStart,
  claim,
  reserves.redeem,
  reserves.creditLimit,
  nodes.relayRegister,
  nodes.relayBond,
  nodes.relayStart,
  reserves.reserveFund,
  reserves.reserveThaw,
  reserves.reserveCancelThaw,
  reserves.reserveWithdraw,
  reserves.reserveShow,
];
