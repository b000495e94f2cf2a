type Row = {
  /** What happened. `{field}` is a value of the error, `{field:usd}` one of pUSD; see contract-refusals.ts. */
  readonly text: string;
  /** What to do; the sentence of `transaction_failed` where there is nothing better. */
  readonly hint?: string;
};

/**
 * Every custom error of every contract, by name. They all are `transaction_failed`, with the name under
 * `details.error` and the values beside it; what is said of them is said here, and the documentation derives from it.
 */
export const CONTRACT_ERRORS: Readonly<Record<string, Row>> = {
  // Credits
  InsufficientCredits: {
    text: "the account has {free:usd} of free credits and {wanted:usd} are needed",
    hint: "Deposit with `aimo credits buy`, or take credits out of a channel first.",
  },
  UnknownUser: { text: "{owner} never deposited", hint: "Deposit first: `aimo credits buy`." },
  UnknownUserId: { text: "there is no user {userId}" },
  UnknownChannelUser: { text: "{user} never deposited", hint: "Deposit first: `aimo credits buy`." },
  UnknownPayer: { text: "{payer} never deposited", hint: "Deposit first: `aimo credits buy`." },
  UnknownChallenger: {
    text: "{challenger} has no credits account, into which bounties are paid",
    hint: "Deposit first: `aimo credits buy`.",
  },
  OwnerWithoutCredits: {
    text: "the owner {owner} has no credits account to be paid into",
    hint: "Deposit something for the owner first.",
  },
  ZeroAmount: { text: "the amount is zero" },
  BelowOneToken: { text: "{amount:usd} is less than the token's smallest unit" },
  BadRecipient: { text: "nothing can be paid to {recipient}" },
  TransferMismatch: { text: "the token brought {received} units instead of {expected}" },
  UnsupportedDecimals: { text: "the token has {decimals} decimals, more than credits have" },
  WrongNonce: {
    text: "the message carries nonce {given} and the account's next one is {expected}",
    hint: "Sign the message again: another one was used since.",
  },
  DeadlinePassed: {
    text: "the signature held until {deadline:time}, and it is {clock:time}",
    hint: "Sign the message again with a later deadline.",
  },
  InvalidSignature: { text: "the signature is not by {expected}" },
  NotModule: { text: "{caller} is no module of the vault" },
  ModuleNotApproved: {
    text: "user {userId} has not approved the module {module}",
    hint: "The user approves a later module with approveModule.",
  },
  BadModule: { text: "{module} is no contract, or is a module already" },
  InsufficientModuleBalance: {
    text: "the module {module} holds {balance:usd}, and {wanted:usd} were asked for",
  },
  // Channels
  ChannelInUse: {
    text: "the channel to relay {relayId} holds {available:usd} and can be debited until {settleBy:time}",
    hint: "Top it up or extend it; it can be opened anew when it is over and empty.",
  },
  ChannelOver: {
    text: "the channel to relay {relayId} is closed, or ended at {settleBy:time}",
    hint: "Withdraw what is left and open it again: `aimo credits buy` does both.",
  },
  ZeroChannelAmount: { text: "a channel needs an amount above zero" },
  RelayNotActive: {
    text: "relay {relayId} is not registered, has left, or has too little bond",
    hint: "Choose another relay.",
  },
  UnknownMode: { text: "there is no channel mode {mode}" },
  WrongSessionKey: { text: "a {mode:mode} channel cannot have the session key {sessionKey}" },
  TermsFixed: {
    text: "the running channel is {mode:mode} with session key {sessionKey}, which cannot change",
    hint: "Close it first: thaw, then withdraw; or let it end.",
  },
  KeyRevoked: {
    text: "the channel's session key was revoked at {revokedAt:time}",
    hint: "Withdraw when it is over, and open a channel with another key.",
  },
  ExpiryTooEarly: { text: "the expiry {expiry:time} is before {earliest:time}, the earliest possible" },
  EpochsUsedUp: {
    text: "this channel was opened so often that it cannot be again",
    hint: "Use another account.",
  },
  ThawActive: {
    text: "a thaw is under way until {thawEnd:time}",
    hint: "Wait and withdraw, or cancel it: `aimo channel cancel-thaw`, of a reserve `aimo relay reserve cancel-thaw`.",
  },
  NothingToThaw: { text: "the channel to relay {relayId} holds nothing to take back" },
  NoThaw: { text: "no thaw is under way", hint: "Start one first." },
  NotWithdrawable: {
    text: "nothing can be withdrawn at {clock:time}: a thaw ends at {thawEnd:time}, the channel at {settleBy:time}",
    hint: "Start a thaw if there is none, and withdraw when it has ended.",
  },
  // Posts
  NotPoster: { text: "{caller} is neither owner nor signer of relay {relayId}" },
  WrongBatchNo: { text: "the batch has number {given} and the relay's next is {expected}" },
  WrongMode: {
    text: "the row of user {userId} is in the section of the other mode; its channel is {mode:mode}",
  },
  BadVoucherSignature: {
    text: "the voucher of user {userId} over {voucherCumulative:usd} is not signed by the channel's session key",
  },
  WrongDepth: { text: "the receipts' tree has depth {given} instead of {expected}" },
  WrongReceiptsRoot: { text: "the receipts' root {receiptsRoot} does not go with {userRows} user rows" },
  WrongReceiptsSum: { text: "the receipts' sum is {given:usd} and the rows' is {expected:usd}" },
  WrongRowsLength: { text: "the rows have {given} bytes instead of {expected}" },
  RowsNotAscending: { text: "the ids do not ascend at row {row} (id {id})" },
  Shortfall: {
    text: "relay {relayId} owes {missing:usd} more than its users paid and it has set aside",
    hint: "Add to the relay's float (fundRelay).",
  },
  InflightAboveBond: {
    text: "relay {relayId} would have {inflight:usd} that is not final, above the {limit:usd} its bond backs",
    hint: "Add to the bond with `aimo relay bond`, or wait until batches are final.",
  },
  RingFull: {
    text: "relay {relayId} has {kept} batches whose receipts may still be judged",
    hint: "Wait until the oldest are past judgement, or register another relay id.",
  },
  ClaimableOverflow: { text: "the provider's claimable credits are too many to be counted: {claimable:usd}" },
  // Earnings and reserves
  ZeroFloat: { text: "the amount is zero" },
  InsufficientFloat: { text: "the float of relay {relayId} is {float:usd}, and {wanted:usd} were asked for" },
  NotReserves: { text: "{caller} is not the reserves" },
  ZeroReserve: { text: "the amount is zero, or the reserve is empty" },
  StillThawing: {
    text: "the thaw ends at {thawEnd:time}, and it is {clock:time}",
    hint: "Wait, then withdraw.",
  },
  StaleVoucher: {
    text: "the voucher is for {cumulative:usd} in all, and {paid:usd} of it were paid already",
    hint: "Use the relay's newest voucher.",
  },
  BadVoucherSigner: {
    text: "the voucher is not signed by a key of relay {relayId} (it is by {signer})",
    hint: "A voucher holds while its signer is valid: redeem before a replaced signer ends.",
  },
  EmptyReserve: {
    text: "the reserve of relay {relayId} for provider {providerId} holds {amount:usd}, too little to pay",
    hint: "The relay's batches pay the rest: `aimo provider claim`.",
  },
  NotPayee: { text: "{caller} may have the provider's money paid to its owner only, not to {to}" },
  // Stakes
  ZeroStake: { text: "the amount is zero" },
  InsufficientBond: { text: "{role:role} {id} has {active:usd} at stake, and {wanted:usd} were asked for" },
  BondInUse: {
    text: "relay {relayId} would keep {remaining:usd} of bond, and its volume that is not final needs {required:usd}",
    hint: "Ask for less, or wait until batches are final.",
  },
  TooManyUnbonds: {
    text: "{role:role} {id} has 8 requests open already",
    hint: "Withdraw or cancel one first.",
  },
  NoUnbond: { text: "{role:role} {id} has no request in slot {slot}" },
  StillBonded: {
    text: "the request is due at {releaseAt:time}, and it is {clock:time}",
    hint: "Wait, then withdraw.",
  },
  NotFraudProofs: { text: "{caller} is not the fraud proofs" },
  // Registry
  UnknownRole: { text: "there is no role {role}" },
  UnknownId: { text: "there is no {role:role} {id}" },
  NotOwner: { text: "{caller} is not the owner of {role:role} {id}", hint: "Use the owner's wallet." },
  NotActive: { text: "{role:role} {id} has left" },
  AlreadyRegistered: { text: "this wallet owns {role:role} {id} already" },
  ZeroSigner: { text: "the signer is the zero address" },
  SignerInUse: {
    text: "the key {signer} signs for {role:role} {id}",
    hint: "Use a key of its own for each node.",
  },
  RotationPending: {
    text: "the signer before the last of {role:role} {id} is still valid until {validUntil:time}",
    hint: "Wait until then to replace it again.",
  },
  FeeTooHigh: { text: "a fee of {feeBps} basis points is above the cap of {cap}" },
  FeeChangeTooSoon: { text: "relay {relayId} can change its fee again from {allowedFrom:time}" },
  InvalidSlug: { text: '"{slug}" is no model name: use a-z 0-9 - . _ : / @ + only' },
  ModelExists: { text: "the model has id {modelId} already" },
  UnknownModel: { text: "there is no model {modelId}" },
  PricePending: {
    text: "version {version} waits to take effect at {effectiveFrom:time}",
    hint: "Wait until then.",
  },
  InvalidKinds: { text: "the units' kinds {kinds} name none, or one that does not exist" },
  PriceWithoutKind: { text: "unit {unit} has a price of {price} pUSD but no kind" },
  CachedPriceTooHigh: { text: "cached units would cost {p1} pUSD, more than the {p0} of others" },
  // Time
  ProtocolPaused: {
    text: "the protocol is paused until {until:time} at the latest",
    hint: "Nothing new begins during a pause; withdrawals work. Wait for its end.",
  },
  PauseTooSoon: { text: "the next pause can begin at {allowedFrom:time}" },
  NotPaused: { text: "the protocol is not paused" },
  WindowTooShort: { text: "the window {window} is {given} s and must be at least {least} s" },
  // Fraud proofs
  UnknownBatch: { text: "batch {batchNo} of relay {relayId} is not this one, or its commit is gone" },
  BatchFinal: { text: "batch {batchNo} of relay {relayId} is final since {finalAt:time}" },
  BadRowProof: { text: "row {row} is not in the batch as shown" },
  BadSkippedList: {
    text: "the list of skipped rows is not the batch's: it hashes to {hash}, not {expected}",
  },
  RowWasSkipped: { text: "the row of user {userId} was skipped, so it cost nothing" },
  BadUserProof: { text: "the user leaf of row {row} is not below the batch's root" },
  BadLeafProof: { text: "leaf {index} is not below the user leaf" },
  RowMismatch: { text: "the user leaf contradicts row {row}", hint: "Prove that with proveRowMismatch." },
  BadReceiptOpening: { text: "the receipt shown is not what the leaf commits to: {digest}, not {expected}" },
  NoFraud: { text: "what was shown is as it should be" },
  NotLater: { text: "the second leaf was not billed after the first by the same relay" },
  AlreadyProven: { text: "this was proven or demanded before (key {key})" },
  NotByRelay: { text: "the receipt is signed by {signer}, which is no key of relay {relayId}" },
  OtherPlace: { text: "the signed receipt is for another place than the leaf" },
  NotByProvider: { text: "provider {providerId} did not sign the receipt with a key that counts" },
  ReceiptTooOld: { text: "the receipt is of {issuedAt:time}; only later than {latest:time} can be judged" },
  UnknownDemand: { text: "the demand {demandId} is not open" },
  WrongTime: { text: "the demand is to be answered until {deadline:time}, and it is {clock:time}" },
  BadAnswer: { text: "the answer shows a fraud, or not what was asked for" },
  // Deposits by signature, and pages
  NoPermit2: {
    text: "there is no Permit2 at {expected} on this chain",
    hint: "Deposit with a permit instead.",
  },
  PermitNotSigned: { text: "{owner} signed no permit over {tokens} units that holds here" },
  AllowanceNotSigned: { text: "the allowance is {allowance} units, and {tokens} were signed" },
  PulledMismatch: { text: "the token brought {received} units instead of {tokens}" },
  OtherUser: { text: "the channel would be {user}'s, the deposit {credited}'s" },
  PageTooLong: { text: "{count} ids are too many for a page; {longest} fit" },
  // Deployment
  WrongWiring: { text: "the contracts do not know each other as they should" },
  ProtocolFeeTooHigh: { text: "a protocol fee of {feeBps} basis points is above the cap of {cap}" },
  ZeroTreasury: { text: "there is no treasury" },
  // The token
  ERC20InsufficientBalance: { text: "{sender} holds {balance} token units, and {needed} are needed" },
  ERC20InsufficientAllowance: { text: "{spender} may take {allowance} token units, and {needed} are needed" },
  ERC20InvalidApprover: { text: "{approver} cannot approve" },
  ERC20InvalidReceiver: { text: "{receiver} cannot receive tokens" },
  ERC20InvalidSender: { text: "{sender} cannot send tokens" },
  ERC20InvalidSpender: { text: "{spender} cannot spend tokens" },
  ERC2612ExpiredSignature: { text: "the permit held until {deadline:time}", hint: "Sign it again." },
  ERC2612InvalidSigner: { text: "the permit is by {signer}, not by {owner}" },
  InvalidAccountNonce: { text: "the next nonce of {account} is {currentNonce}", hint: "Sign again." },
  AuthorizationExpired: { text: "the authorization held until {validBefore:time}", hint: "Sign it again." },
  AuthorizationTooEarly: { text: "the authorization holds after {validAfter:time} only" },
  AuthorizationNotSigned: { text: "the authorization is by {signer}, not by {from}" },
  CallerNotPayee: { text: "{caller} submits what only {to} may" },
  NonceUsed: { text: "{authorizer} used the nonce {nonce} before", hint: "Sign with another nonce." },
  SafeERC20FailedOperation: { text: "the token {token} refused the transfer" },
  ECDSAInvalidSignature: { text: "the signature is malformed" },
  ECDSAInvalidSignatureLength: { text: "the signature has {length} bytes" },
  ECDSAInvalidSignatureS: { text: "the signature's s is in the upper half" },
  // Roles
  AccessManagedUnauthorized: { text: "{caller} may not do this" },
  AccessManagedRequiredDelay: {
    text: "{caller} may do this {delay} s after announcing it",
    hint: "Schedule it with the access manager, wait, then execute it.",
  },
  AccessManagedInvalidAuthority: { text: "{authority} cannot be the access manager" },
  AccessManagerAlreadyScheduled: { text: "the operation {operationId} is scheduled already" },
  AccessManagerBadConfirmation: { text: "the role can be renounced by its holder only" },
  AccessManagerExpired: {
    text: "the operation {operationId} was not executed in time",
    hint: "Schedule it again.",
  },
  AccessManagerInvalidInitialAdmin: { text: "{initialAdmin} cannot be the first admin" },
  AccessManagerLockedFunction: { text: "the function {selector} cannot be given to a role" },
  AccessManagerLockedRole: { text: "the role {roleId} cannot be changed" },
  AccessManagerNotReady: {
    text: "the operation {operationId} still waits",
    hint: "Wait for the delay's end.",
  },
  AccessManagerNotScheduled: {
    text: "the operation {operationId} was not announced",
    hint: "Schedule it first.",
  },
  AccessManagerUnauthorizedAccount: { text: "{msgsender} has not the role {roleId}" },
  AccessManagerUnauthorizedCall: { text: "{caller} may not call {selector} of {target}" },
  AccessManagerUnauthorizedCancel: { text: "{msgsender} may not cancel what {caller} announced" },
  AccessManagerUnauthorizedConsume: { text: "{target} consumes an operation that is not its own" },
  // What libraries refuse
  AddressEmptyCode: { text: "there is no contract at {target}" },
  FailedCall: { text: "the call inside failed" },
  InsufficientBalance: { text: "the balance is {balance} wei, and {needed} are needed" },
  InvalidShortString: { text: "a stored name is malformed" },
  StringTooLong: { text: 'the name "{str}" is too long' },
  ReentrancyGuardReentrantCall: { text: "the contract was called from within its own call" },
  SafeCastOverflowedUintDowncast: { text: "{value} does not fit {bits} bits" },
};
