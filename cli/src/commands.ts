import type { Command } from "./command.ts";
import * as auth from "./commands/auth.ts";
import * as bill from "./commands/bill.ts";
import { chat } from "./commands/chat.ts";
import { claim } from "./commands/claim.ts";
import * as credits from "./commands/credits.ts";
import { dev, faucet } from "./commands/dev.ts";
import * as keys from "./commands/keys.ts";
import * as models from "./commands/models.ts";
import * as nodes from "./commands/nodes.ts";

/** Every command, in the order of the help and the reference page. */
export const COMMANDS: readonly Command[] = [
  dev,
  faucet,
  auth.login,
  credits.buy,
  credits.balance,
  keys.create,
  keys.list,
  keys.revoke,
  models.list,
  chat,
  bill.verify,
  nodes.providerRegister,
  nodes.providerStake,
  nodes.providerStart,
  claim,
  nodes.relayRegister,
  nodes.relayBond,
  nodes.relayStart,
];
