/**
 * What a judge of untrusted bytes says. `accept`: keep it and pass it on. `ignore`: drop it quietly, the sender may be
 * honest (late, repeated, not yet known). `reject`: no honest node sends this; the sender loses score.
 */
export type Verdict<T> = { readonly accept: T } | { readonly ignore: string } | { readonly reject: string };
