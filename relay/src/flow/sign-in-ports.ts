import type { Address } from "viem";

/** store/: wallet sign-in. Nonces are single use; both expire. */
export interface AuthSessions {
  createNonce(): { readonly nonce: string; readonly expiresAt: number };
  /** True once for a nonce that was given out and has not expired. */
  useNonce(nonce: string): boolean;
  open(owner: Address): { readonly token: string; readonly expiresAt: number };
  ownerOf(token: string): Address | undefined;
}
