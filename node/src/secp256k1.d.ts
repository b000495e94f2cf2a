/** The part of the npm package `secp256k1` that nodes use; it ships no types. Functions throw on malformed input. */
declare module "secp256k1" {
  type Secp256k1 = {
    privateKeyVerify(privateKey: Uint8Array): boolean;
    publicKeyCreate(privateKey: Uint8Array, compressed?: boolean): Uint8Array;
    publicKeyConvert(publicKey: Uint8Array, compressed?: boolean): Uint8Array;
    publicKeyVerify(publicKey: Uint8Array): boolean;
    ecdsaSign(message: Uint8Array, privateKey: Uint8Array): { signature: Uint8Array; recid: number };
    ecdsaRecover(signature: Uint8Array, recid: number, message: Uint8Array, compressed?: boolean): Uint8Array;
    ecdh(
      publicKey: Uint8Array,
      privateKey: Uint8Array,
      options: {
        hashfn: (x: Uint8Array, y: Uint8Array) => Uint8Array;
        xbuf: Uint8Array;
        ybuf: Uint8Array;
      },
      output: Uint8Array,
    ): Uint8Array;
  };
  const secp256k1: Secp256k1;
  export = secp256k1;
}
